//! The command line.

mod sessions;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sd_notify::NotifyState;
use session_gateway::config::{self, Config, Mistakes};
use session_gateway::gateway::{Files, Gateway};
use session_gateway::listener::Passed;
use session_gateway::proxy::Clock;
use session_gateway::{store, telemetry, tls};
use tokio::signal::unix::{SignalKind, signal};

/// How long a reload may take to read the configuration and the files that it names.
const READING: Duration = Duration::from_secs(10);

/// A reverse proxy that gives any HTTP backend server-side sessions.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "gateway.toml", global = true)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration, its keys, certificates and session file, and say every mistake.
    Check,
    /// Make a new session key: in a new file that only its owner can read, or on standard output.
    Key {
        /// The file, which must not exist yet.
        file: Option<PathBuf>,
    },
    /// Make a certificate and key for development: dev.crt and dev.key.
    DevCert {
        /// Where they are made.
        #[arg(default_value = "certs")]
        directory: PathBuf,
    },
    /// List, show and revoke the sessions of the gateway that runs by this configuration.
    Sessions {
        #[command(subcommand)]
        command: sessions::Command,
    },
}

pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => gateway(&arguments.config),
        Some(Command::Check) => check(&arguments.config),
        Some(Command::Key { file }) => key(file.as_deref()),
        Some(Command::DevCert { directory }) => dev_cert(&directory),
        Some(Command::Sessions { command }) => sessions::run(&command, &arguments.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Mistakes are a page of their own, with the lines they are in; any other error is one line with its
            // causes.
            match error.downcast_ref::<Mistakes>() {
                Some(mistakes) => eprintln!("{mistakes}"),
                None => eprintln!("error: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn load(path: &std::path::Path) -> anyhow::Result<Config> {
    Ok(config::load(path)?)
}

fn gateway(path: &std::path::Path) -> anyhow::Result<()> {
    let config = load(path)?;
    let passed = Passed::from_env()?;
    let level = telemetry::init(&config.log);
    config.doubts().for_each(|doubt| tracing::warn!("{doubt}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        // Registered before anything is bound, so that no signal finds the default handler.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut gateway = Gateway::start_on(passed, &config, Clock::System)?;
        if let Some(address) = gateway.http {
            tracing::info!("listening on http://{address}");
        }
        if let Some(address) = gateway.https {
            tracing::info!("listening on https://{address}");
        }
        if let Some(address) = gateway.admin {
            tracing::info!("admin on http://{address}");
        }
        tell_systemd(&[NotifyState::Ready]);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => tokio::select! {
                    read = read_again(path) => reload(&mut gateway, read, path, &level),
                    // A file system that hangs does not keep it from stopping.
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                },
            }
        }
        tell_systemd(&[NotifyState::Stopping]);
        tracing::info!("stopping: no new connections, requests in flight may end");
        // A second signal does not wait for them.
        let stopping = tokio::task::spawn_blocking(move || gateway.stop());
        tokio::select! {
            stopped = stopping => stopped.context("the gateway did not stop in order")?,
            _ = terminate.recv() => std::process::exit(1),
            _ = interrupt.recv() => std::process::exit(1),
        }
        Ok(())
    });
    // A file that is still being read is not waited for.
    runtime.shutdown_background();
    done
}

/// Nothing where it is not systemd that has started us.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told how we are");
    }
}

/// The file as it is now, and those that it names.
async fn read_again(path: &std::path::Path) -> anyhow::Result<(Config, Files)> {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell_systemd(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd is not told of the reload"),
    }
    let path = path.to_owned();
    let read = move || {
        let config = load(&path)?;
        let files = Files::read(&config)?;
        Ok((config, files))
    };
    // Whoever reads for so long waits for a file system, and the next reload is not to wait for that.
    let read = tokio::time::timeout(READING, tokio::task::spawn_blocking(read)).await;
    let read = read.with_context(|| format!("reading it and its files took longer than {} s", READING.as_secs()))?;
    read.context("it could not be read")?
}

/// Goes by what was read, if there is nothing wrong with it.
fn reload(
    gateway: &mut Gateway,
    read: anyhow::Result<(Config, Files)>,
    path: &std::path::Path,
    level: &telemetry::Level,
) {
    let log = read.as_ref().ok().map(|(config, _)| (config.log.clone(), config.doubts().collect::<Vec<_>>()));
    match (gateway.reload(read), log) {
        (Ok(()), Some((log, doubts))) => {
            level.set(&log);
            tracing::info!("{} was read again, and new requests go by it", path.display());
            for doubt in doubts {
                tracing::warn!("{doubt}");
            }
        }
        (Ok(()), None) => {}
        (Err(error), _) => {
            // Mistakes are a page with the lines they are in.
            let between = if error.is::<Mistakes>() { '\n' } else { ' ' };
            tracing::error!("the configuration stays as it was:{between}{error:#}");
        }
    }
    tell_systemd(&[NotifyState::Ready]);
}

fn check(path: &std::path::Path) -> anyhow::Result<()> {
    let config = load(path)?;
    let files = Files::read(&config)?;
    if let store::Settings::Memory(_, Some(file)) = &config.store {
        file.check()?;
    }
    for doubt in config.doubts() {
        writeln!(std::io::stdout(), "warning: {doubt}")?;
    }
    for doubt in files.doubts() {
        writeln!(std::io::stdout(), "warning: {doubt}")?;
    }
    writeln!(std::io::stdout(), "{} is valid; its keys and certificates can be used", path.display())?;
    Ok(())
}

fn key(file: Option<&std::path::Path>) -> anyhow::Result<()> {
    use base64::Engine;
    use std::os::unix::fs::OpenOptionsExt;
    // 48 bytes, so that the line of text that is the key has 64 characters.
    let mut key = zeroize::Zeroizing::new([0; 48]);
    getrandom::fill(key.as_mut()).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let text = zeroize::Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(key.as_ref()));
    let mut out: Box<dyn Write> = match file {
        None => Box::new(std::io::stdout()),
        Some(path) => {
            let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            Box::new(made.with_context(|| format!("cannot make {}", path.display()))?)
        }
    };
    writeln!(out, "{}", *text)?;
    Ok(())
}

fn dev_cert(directory: &std::path::Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let made = tls::dev::development(directory)?;
    let mut out = std::io::stdout();
    for (path, origin) in
        [(&made.settings.certificate, made.certificate), (&made.settings.private_key, made.private_key)]
    {
        let what = match origin {
            tls::dev::Origin::Made => "made",
            tls::dev::Origin::Kept => "kept",
        };
        writeln!(out, "{what} {}", path.display())?;
    }
    Ok(())
}
