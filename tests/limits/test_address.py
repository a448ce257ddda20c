from __future__ import annotations

import pytest

from keyctl.errors import UsageError
from keyctl.limits.address import LimiterAddress


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "memory://"),
        ("redis://", "redis://"),
        ("redis://localhost", "redis://localhost"),
        ("redis://10.0.0.5:6380/2", "redis://10.0.0.5:6380/2"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("rediss://me:s3cret@redis.example/1?ssl_ca_certs=/etc/s3cret.pem", "rediss://redis.example/1"),
        ("valkeys://:s3cret@valkey.example", "valkeys://valkey.example"),
        ("redis+unix:///run/redis.sock?db=1&password=s3cret", "redis+unix:///run/redis.sock"),
        ("redis+cluster://:s3cret@a:1,b:2", "redis+cluster://a:1,b:2"),
        ("redis://:s3cret@s3cret@host:1", "redis://host:1"),
    ],
)
def test_an_address_is_shown_without_password_or_parameters(url: str, shown: str):
    address = LimiterAddress.parse(url)

    assert str(address) == shown
    assert "s3cret" not in repr(address)
    assert address.url == url


@pytest.mark.parametrize(
    ("url", "username", "password"),
    [
        ("redis://h", None, None),
        ("redis://:a%40b%2F@h", None, "a@b/"),
        ("redis://me:pw@h", "me", "pw"),
        ("redis+unix:///s?username=me&password=a%20b", "me", "a b"),
        ("redis+cluster://me:a%3Ab@h:1", "me", "a:b"),
    ],
)
def test_name_and_password_are_decoded(url: str, username: str | None, password: str | None):
    address = LimiterAddress.parse(url)

    assert (address.username, address.password) == (username, password)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is not a URL"),
        ("redis", "is not a URL"),
        ("localhost:6379", "is not a URL"),
        ("s3cret\n://x", "is not a URL"),
        ("http://h", 'unsupported limiter URL scheme "http://"'),
        ("postgresql://me:s3cret@h", 'unsupported limiter URL scheme "postgresql://"'),
        ("redis+sentinel://h:1", 'unsupported limiter URL scheme "redis+sentinel://"'),
        ("memcached://:s3cret@h", 'unsupported limiter URL scheme "memcached://"'),
        ("async+redis://:s3cret@h", 'unsupported limiter URL scheme "async+redis://"'),
        ("memory://:s3cret@h", "nothing may follow memory://"),
        ("redis://:s3cret@h:port", "cannot be read"),
        ("redis://:s3cret@h:99999", "cannot be read"),
        ("redis://:s3cret@[::1", "cannot be read"),
        ("redis://:s3cret#x@h", "it has a #"),
        ("redis://:s3cret@h/zero", "must be a number"),
        ("redis://:s3cret@h?db=x", "must be a number"),
        ("redis://:s3cret@h?s3cret=1", "unknown parameter"),
        ("redis://:s3cret@h?socket_timeout=900", "unknown parameter"),
        ("redis+cluster://:s3cret@h", "needs a host and a port"),
        ("redis+cluster://:s3cret@h:1,", "needs a host and a port"),
        ("redis+cluster://h:1/3", "no numbered databases"),
        ("redis+unix://", "names no socket"),
        ("redis+unix://:123/s3cret@/run/redis.sock", "names no socket"),
        ("redis://:123/s3cret@h", "must be a number"),
        ("redis://:123?s3cret@h", "unknown parameter"),
        ("redis://" + "x" * 5000, "has 5,008 characters"),
    ],
)
def test_what_cannot_be_an_address_is_refused_without_its_password(url: str, message: str):
    with pytest.raises(UsageError) as error:
        LimiterAddress.parse(url)

    assert message in error.value.message
    assert error.value.hint
    assert "s3cret" not in f"{error.value} {error.value.hint}"


@pytest.mark.parametrize(("scheme", "near"), [("reddis", "redis"), ("valkey+cluter", "valkey+cluster")])
def test_a_misspelled_scheme_gets_a_suggestion(scheme: str, near: str):
    with pytest.raises(UsageError) as error:
        LimiterAddress.parse(f"{scheme}://h")

    assert f'did you mean "{near}"?' in (error.value.hint or "")
