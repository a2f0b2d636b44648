//! The sockets of a listener, and who else may have them.

use super::*;

#[test]
fn workers_share_one_port() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 3).unwrap();
    let address = sockets[0].local_addr().unwrap();
    assert_eq!(sockets.len(), 3);
    assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
}

#[test]
fn port_in_use_is_refused_by_name_even_if_it_could_be_shared() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let error = listener::bind(address, 2).unwrap_err();
    assert_eq!((error.source.kind(), error.address), (ErrorKind::AddrInUse, address));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    drop(sockets);
    assert_eq!(listener::bind(address, 2).unwrap().len(), 2);

    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let error = listener::bind(stranger.local_addr().unwrap(), 1).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
}

#[test]
fn restart_does_not_wait_for_old_connections() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    // The server's side closes first, so it is its port that stays in TIME_WAIT.
    drop(sockets[0].accept().unwrap());
    drop(sockets);
    drop(client);
    assert_eq!(listener::bind(address, 1).unwrap().len(), 1);
}

#[test]
fn accepted_connections_send_without_delay() {
    let sockets = listener::bind((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let _client = TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    assert!(sockets[0].accept().unwrap().0.nodelay().unwrap());
}
