<?php
// A login as PHP's manual has it. It knows nothing of the gateway. php -S 127.0.0.1:0 php_app.php
declare(strict_types=1);

session_start();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);

match ("{$_SERVER['REQUEST_METHOD']} $path") {
    'GET /' => home(),
    'GET /login' => form(),
    'POST /login' => login($_POST['username'], $_POST['password']),
    'POST /logout' => logout(),
    default => http_response_code(404),
};

function home(): void
{
    echo '<!doctype html><title>Home</title>';
    if (isset($_SESSION['user'])) {
        echo '<b id="user">', htmlspecialchars($_SESSION['user']), '</b>';
        echo '<form method="post" action="/logout"><button>Log out</button></form>';
    } else {
        echo '<a href="/login">Log in</a>';
    }
}

function form(): void
{
    echo '<!doctype html><title>Log in</title><p>', $_SESSION['message'] ?? '', '</p><form method="post">';
    echo '<input name="username"><input name="password" type="password"><button>Log in</button></form>';
    unset($_SESSION['message']);
}

function login(string $user, string $password): void
{
    if ($password !== 'secret') {
        $_SESSION['message'] = 'Incorrect password.';
        redirect('/login');
        return;
    }
    session_regenerate_id(true);
    $_SESSION['user'] = $user;
    redirect('/');
}

function logout(): void
{
    $_SESSION = [];
    $cookie = session_get_cookie_params();
    setcookie(session_name(), '', time() - 42000, $cookie['path'], $cookie['domain'], $cookie['secure'], $cookie['httponly']);
    session_destroy();
    redirect('/');
}

function redirect(string $to): void
{
    header("Location: $to", true, 303);
}
