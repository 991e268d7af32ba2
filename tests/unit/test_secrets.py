"""What is taken for a secret in a text, and what is not."""

from __future__ import annotations

import time

import pytest

from runcept.core.secrets import MASK, is_secret, mask, secret_values


@pytest.mark.parametrize("name", [
    "TOKEN", "API_TOKEN", "GITHUB_TOKEN", "token", "authToken", "TOKENS", "CLIENT_SECRET", "SECRET_KEY_BASE",
    "DB_PASSWORD", "PGPASSWORD", "MYSQL_ROOT_PASSWORD", "PASSWD", "DB_PASS", "pass", "MYSQL_PWD", "SSH_PASSPHRASE",
    "AWS_CREDENTIALS", "KEY", "API_KEY", "apikey", "apiKey", "AWS_ACCESS_KEY_ID", "SIGNING_KEYS", "key", "--api-key",
])  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    """However it is spelled."""
    assert is_secret(name)


@pytest.mark.parametrize("name", [
    "KEYBOARD", "KEYMAP", "MONKEY", "TURKEY_PORT", "PWD", "OLDPWD", "COMPASS", "PASSENGER", "BYPASS", "TOKENIZER",
    "TOKENIZERS_PARALLELISM", "PATH", "SECRET_FILE", "TOKEN_PATH", "PASSWORD_STORE_DIR", "TOKEN_URL", "AUTHOR",
    "RUNCEPT_RUN", "RUNCEPT_TOKEN", "",
])  # fmt: skip
def test_names_of_other_things(name: str) -> None:
    """A word within a word, a place, and our own markers."""
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://app:s3@db/shop", "postgres://app:***@db/shop"),
        ("redis://:s3@h:1/0 refused", "redis://:***@h:1/0 refused"),
        ("amqp://u:a@b@h", "amqp://u:***@h"),
        ("http://localhost:80/x@y", "http://localhost:80/x@y"),
        ("TOKEN=x y", "TOKEN=*** y"),
        ("mysql --password=x --host=h", "mysql --password=*** --host=h"),
        ("mysql --password x -h h", "mysql --password *** -h h"),
        ("mysql --password -h h", "mysql --password -h h"),
        ("run -e DB_PASSWORD=x img", "run -e DB_PASSWORD=*** img"),
        ("helm --set=auth.password=x", "helm --set=auth.password=***"),
        ('login --password "x y"z -v', "login --password *** -v"),  # found by atheris: a shell joins the parts
        ("password = 'x y'", "password = ***"),
        ("GET /ready?token=x&page=2 answered 503", "GET /ready?token=***&page=2 answered 503"),
        ('{"api_key": "x", "page": "2"}', '{"api_key": ***, "page": "2"}'),
        ('{\\"password\\": \\"x\\"}', '{\\"password\\": ***}'),
        ('API_KEY = ["x", "y"]', "API_KEY = ***"),
        ('API_KEY = "x', "API_KEY = ***"),
        ("Authorization: Bearer x.y", "Authorization: Bearer ***"),
        ('curl -H "authorization: basic eDp5"', 'curl -H "authorization: basic ***"'),
        ("sent Bearer eyJhbGciOi.J9", "sent Bearer ***"),
        ("the bearer has left", "the bearer has left"),
        ("KEYBOARD=us PWD=/srv", "KEYBOARD=us PWD=/srv"),
        ("max_tokens=4096 token=null secret=true", "max_tokens=4096 token=null secret=true"),
        ("unexpected token: <", "unexpected token: <"),
        ("Key (id)=(5) already exists", "Key (id)=(5) already exists"),
        ("port 8000 is held by pid 4711 (node server.js)", "port 8000 is held by pid 4711 (node server.js)"),
    ],
)
def test_secrets_are_known_by_their_place(text: str, masked: str) -> None:
    """And masked once: masking again changes nothing."""
    assert mask(text) == masked
    assert mask(masked) == masked
    assert len(mask(text, keep_width=True)) == len(text)


def test_secrets_are_known_by_their_value() -> None:
    """Of the variables that are secret, and of the passwords in any URL; each line of one that has several."""
    environ = {
        "API_KEY": "abc123XYZ",
        "LONG_KEY": "abc123XYZ-and-more",
        "DATABASE_URL": "postgres://app:url-pw1@db/shop",
        "TLS_KEY": "-----BEGIN KEY-----\nMIIEvQIBADANB\nkqhkiG9w0B\n-----END KEY-----",
        "HOME": "/home/me-and-you",
        "RUNCEPT_RUN": "1234567890x",
    }
    values = secret_values(environ, {"TOKEN": "other-1"})
    text = "abc123XYZ-and-more abc123XYZ url-pw1 MIIEvQIBADANB other-1 /home/me-and-you 1234567890x"
    assert mask(text, values) == f"{MASK} {MASK} {MASK} {MASK} {MASK} /home/me-and-you 1234567890x"


@pytest.mark.parametrize(
    "value", ["", "1", "true", "dev", "postgres", "Password", "SECRET", "localhost", "12345678", "a-b"]
)
def test_a_value_that_protects_nothing_is_left_alone(value: str) -> None:
    """Stars in every sentence with "postgres" in it would help nobody but the one who guesses."""
    assert secret_values({"DB_PASSWORD": value}) == []


HOSTILE = [
    "a", "-", "://", "://a:", '"', "\\", "a=b ", "token=", "token ", "token  ", "token=[", 'token="', "token=a'",
    'password\\"', "--password ", "bearer ", "authorization:",
]  # fmt: skip


def test_hostile_text_takes_no_time() -> None:
    """Each pattern is linear: 200 KB of what begins a secret, and never is one."""
    begun = time.monotonic()
    for part in HOSTILE:
        mask(part * (200_000 // len(part)))
        mask("://" + part * (200_000 // len(part)))
    assert time.monotonic() - begun < 20


def test_a_hostile_environment_takes_no_time() -> None:
    """Twice the size is twice the time: a quadratic search would take more than a minute for these 600 KB."""
    begun = time.monotonic()
    for part in ["://a:", "://a:b", "://a:@", "://a:b/", "://a:/", "://:"]:
        secret_values({"LINKS": part * (100_000 // len(part)), "TOKEN": "://a:" * 20_000})
        secret_values({"LINKS": part * (600_000 // len(part))})
    assert time.monotonic() - begun < 20


def test_a_password_in_a_url_may_hold_a_slash() -> None:
    """It should have been escaped, and is a password all the same."""
    assert secret_values({"DATABASE_URL": "postgres://app:pa/ss-1@db/shop"}) == ["pa/ss-1"]
