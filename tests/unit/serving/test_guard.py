"""Who is let in: tokens, rates, and the addresses that need them."""

import hashlib
import os

import pytest

from forecasting.answering.answer_error import AnswerError
from forecasting.errors import ConfigError
from pipelines.cli import main
from serving.gateway.guard import Guard, RateLimit, one_address, require_guarded, required_scope
from serving.gateway.tokens import TokenScope, TokenSource, make_token, matching, parse_tokens


def _line(name, scopes, token):
    return f"{name} {scopes} {hashlib.sha256(token.encode()).hexdigest()}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("# who may ask\n\n" + _line("shop", "read", "one") + _line("loader", "write,read", "two"))
    return path


def _guard(path, **settings):
    return Guard(TokenSource(path), **{"rate": None, "max_in_flight": 2, **settings})


def _code(guard, authorization, scope=TokenScope.READ, n_in_flight=1):
    with pytest.raises(AnswerError) as found:
        guard.admit(authorization, "10.0.0.1", scope, n_in_flight=n_in_flight)
    return found.value.code, str(found.value)


def test_a_token_is_let_in_by_its_digest_under_its_name(file):
    assert _guard(file).admit("Bearer one", "10.0.0.1", TokenScope.READ, n_in_flight=1) == "shop"
    assert _guard(file).admit("bearer two", "10.0.0.1", TokenScope.WRITE, n_in_flight=1) == "loader"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic one", "one"])
def test_a_request_without_a_bearer_token_gets_401(file, header):
    assert _code(_guard(file), header) == (401, "the request must have the header 'Authorization: Bearer TOKEN'")


def test_an_unknown_token_gets_401_and_a_narrow_one_403(file):
    assert _code(_guard(file), "Bearer three")[0] == 401
    text = "the token 'shop' must have the scope 'write', it has read"
    assert _code(_guard(file), "Bearer one", TokenScope.WRITE) == (403, text)


def test_of_one_address_only_so_many_wrong_tokens_a_second_are_answered_and_right_ones_always(file):
    guard = _guard(file, wrong=RateLimit(2, clock=lambda: 0.0))
    assert [_code(guard, "Bearer three")[0] for _ in range(3)] == [401, 401, 429]
    assert guard.admit("Bearer one", "10.0.0.1", TokenScope.READ, n_in_flight=1) == "shop"
    with pytest.raises(AnswerError) as found:
        guard.admit("Bearer three", "10.0.0.2", TokenScope.READ, n_in_flight=1)
    assert found.value.code == 401


def test_all_bodies_together_have_four_times_the_bytes_of_one_at_most(file):
    guard = _guard(file, max_body_bytes=100)
    guard.take_bytes(300)
    guard.take_bytes(100)
    with pytest.raises(AnswerError, match="bodies of 400 bytes are being answered") as found:
        guard.take_bytes(1)
    assert (found.value.code, found.value.retry_after_s) == (429, 1)
    guard.give_back_bytes(301)
    guard.take_bytes(300)


def test_an_administrator_may_do_all():
    _, record = make_token("root", [TokenScope.ADMIN])
    assert all(record.allows(scope) for scope in TokenScope)


def test_a_made_token_is_found_by_what_is_kept_of_it_and_stands_nowhere_in_that():
    token, record = make_token("shop", [TokenScope.READ, TokenScope.WRITE])
    assert token not in record.line()
    (kept,) = parse_tokens(record.line(), "here")
    assert (kept, matching((kept,), token)) == (record, record)
    assert matching((kept,), token[:-1]) is None


@pytest.mark.parametrize(
    "line", ["shop read", "shop read xyz", f"shop all {'0' * 64}", f"sh/op read {'0' * 64}", f"shop , {'0' * 64}"]
)
def test_a_line_that_is_no_token_is_named_by_its_number_and_not_shown(line):
    with pytest.raises(ConfigError, match="tokens, line 2, must be NAME SCOPE") as found:
        parse_tokens(f"# first\n{line}", "tokens")
    assert line not in str(found.value)


def test_two_tokens_of_one_name_are_refused(file):
    with pytest.raises(ConfigError, match="line 5, must not name the token 'shop' again"):
        parse_tokens(file.read_text() + _line("shop", "read", "x"), "tokens")


def test_a_file_that_changes_is_read_again_and_a_broken_one_leaves_what_there_was(file, caplog):
    now = [0.0]
    source = TokenSource(file, clock=lambda: now[0])
    text = file.read_text()

    def names():
        now[0] += 2.0
        return [token.name for token in source.tokens()]

    def write(content, stamp):
        file.write_text(content)
        os.utime(file, (stamp, stamp))

    write(_line("new", "read", "four"), 100)
    assert names() == ["new"]
    write(_line("new", "read", "four") + "broken", 200)
    assert names() == ["new"]
    assert "1 of 1 tokens stay, no new one is taken" in caplog.text
    file.unlink()
    assert names() == ["new"]
    assert "the tokens stay as they were" in caplog.text
    write(text, 300)
    assert names() == ["shop", "loader"]


def test_a_token_that_was_taken_out_of_the_file_is_out_beside_a_broken_line_and_as_the_last_one(file):
    now = [0.0]
    source = TokenSource(file, clock=lambda: now[0])
    kept = next(line for line in file.read_text().splitlines() if line.startswith("loader"))

    def names_of(content, stamp):
        now[0] += 2.0
        file.write_text(content)
        os.utime(file, (stamp, stamp))
        return [token.name for token in source.tokens()]

    assert names_of(f"{kept}\nbroken\n", 100) == ["loader"]
    assert names_of("# nobody\n", 200) == []
    assert not source.is_open
    assert names_of(kept, 300) == ["loader"]


@pytest.mark.parametrize("content", [None, "", "# nobody\n", b"\xff"])
def test_a_file_without_tokens_is_refused_at_the_start(tmp_path, content):
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"cannot be read|must have a token"):
        TokenSource(path)


def test_tokens_of_the_environment_stand_where_there_is_no_file(monkeypatch):
    monkeypatch.delenv("ALMANAC_TOKENS", raising=False)
    assert TokenSource(None).is_open
    assert _guard(None).admit(None, "10.0.0.1", TokenScope.ADMIN, n_in_flight=1) == "-"
    monkeypatch.setenv("ALMANAC_TOKENS", _line("shop", "read", "one"))
    assert not TokenSource(None).is_open
    assert _code(_guard(None), None)[0] == 401


def test_a_rate_lets_a_seconds_worth_through_at_once_and_says_when_to_come_again():
    now = [0.0]
    rate = RateLimit(2.0, clock=lambda: now[0])
    assert [rate.wait_s("a") for _ in range(3)] == [0, 0, 0.5]
    assert rate.wait_s("b") == 0
    now[0] = 0.25
    assert rate.wait_s("a") == 0.25
    now[0] = 0.5
    assert rate.wait_s("a") == 0
    now[0] = 100
    assert [rate.wait_s("a") for _ in range(3)] == [0, 0, 0.5]


def test_a_slow_rate_still_lets_the_first_request_through():
    rate = RateLimit(0.1, clock=lambda: 0.0)
    assert [rate.wait_s("a"), rate.wait_s("a")] == [0, pytest.approx(10)]


def test_limits_are_answered_by_429_with_the_seconds_to_wait(file):
    guard = _guard(file, rate=RateLimit(0.4, clock=lambda: 0.0))
    assert guard.admit("Bearer one", "10.0.0.1", TokenScope.READ, n_in_flight=1) == "shop"
    with pytest.raises(AnswerError) as found:
        guard.admit("Bearer one", "10.0.0.2", TokenScope.READ, n_in_flight=1)
    assert (found.value.code, found.value.retry_after_s) == (429, 3)
    assert guard.admit("Bearer two", "10.0.0.1", TokenScope.READ, n_in_flight=2) == "loader"
    assert _code(_guard(file), "Bearer one", n_in_flight=3) == (429, "2 requests are being answered, as many as may be; send this one later")  # fmt: skip


def test_without_tokens_the_rate_is_that_of_an_address(monkeypatch):
    monkeypatch.delenv("ALMANAC_TOKENS", raising=False)
    guard = _guard(None, rate=RateLimit(1.0, clock=lambda: 0.0))
    assert [guard.admit(None, address, TokenScope.READ, n_in_flight=1) for address in ("x", "y")] == ["-", "-"]
    with pytest.raises(AnswerError):
        guard.admit(None, "x", TokenScope.READ, n_in_flight=1)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_this_machine_needs_no_tokens(address):
    require_guarded(address, has_tokens=False, is_open=False)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.1.2.3", "gateway.example"])
def test_an_address_that_others_reach_needs_tokens_or_a_word(address):
    with pytest.raises(ConfigError, match="the gateway must have tokens to listen on"):
        require_guarded(address, has_tokens=False, is_open=False)
    require_guarded(address, has_tokens=True, is_open=False)
    require_guarded(address, has_tokens=False, is_open=True)


def test_observations_need_the_scope_to_write_and_all_else_that_to_read():
    assert [required_scope(path) for path in ("/v1/observations", "/v1/forecast", "/metrics", "/what")] == [
        TokenScope.WRITE, TokenScope.READ, TokenScope.READ, TokenScope.READ,
    ]  # fmt: skip


def test_the_command_prints_the_token_once_and_keeps_its_digest(tmp_path, capsys):
    path = tmp_path / "tokens"
    assert main(["tokens", "make", "shop", "--file", str(path)]) == 0
    token = capsys.readouterr().out.strip()
    assert main(["tokens", "make", "loader", "--scope", "write", "--scope", "read", "--file", str(path)]) == 0
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert _guard(path).admit(f"Bearer {token}", "10.0.0.1", TokenScope.READ, n_in_flight=1) == "shop"
    assert main(["tokens", "make", "shop", "--file", str(path)]) == 2
    assert "must not have a token 'shop' yet" in capsys.readouterr().err
    assert main(["tokens", "make", "printed"]) == 0
    assert capsys.readouterr().err.startswith("printed read ")


@pytest.mark.parametrize("host", [None, "127.0.0.1:8502", "localhost", "[::1]:8502", "LOCALHOST:1"])
def test_without_tokens_programs_and_pages_of_this_machine_are_let_in(monkeypatch, host):
    monkeypatch.delenv("ALMANAC_TOKENS", raising=False)
    guard = _guard(None, is_local=True)
    guard.admit_page(host, None)
    if host is not None:
        guard.admit_page(host, f"http://{host}")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8502", "https://shop.example"),
        ("127.0.0.1:8502", "null"),
        ("127.0.0.1:8502", "http://127.0.0.1:3000"),
        ("shop.example:8502", None),
        ("shop.example:8502", "http://shop.example:8502"),
        ("[::1", None),
    ],
)
def test_without_tokens_a_page_of_another_site_is_refused(monkeypatch, host, origin):
    monkeypatch.delenv("ALMANAC_TOKENS", raising=False)
    with pytest.raises(AnswerError, match="without tokens") as found:
        _guard(None, is_local=True).admit_page(host, origin)
    assert found.value.code == 403


def test_beyond_this_machine_any_name_may_lead_here_but_no_other_sites_page(monkeypatch):
    monkeypatch.delenv("ALMANAC_TOKENS", raising=False)
    guard = _guard(None)
    guard.admit_page("forecasts.example", "https://forecasts.example")
    with pytest.raises(AnswerError, match="no page of another site may ask"):
        guard.admit_page("forecasts.example", "https://shop.example")


def test_with_tokens_a_page_may_come_from_anywhere(file):
    _guard(file, is_local=True).admit_page("forecasts.example", "https://shop.example")


def test_a_client_of_one_address_has_one_rate_however_the_address_is_spelt(file):
    guard = _guard(file, wrong=RateLimit(2, clock=lambda: 0.0))
    codes = []
    for address in ("10.0.0.1", "::ffff:10.0.0.1", "::FFFF:0a00:0001", "2001:db8::1", "2001:DB8:0::1", "2001:db8::0:1"):
        with pytest.raises(AnswerError) as found:
            guard.admit("Bearer three", address, TokenScope.READ, n_in_flight=1)
        codes.append(found.value.code)
    assert codes == [401, 401, 429, 401, 401, 429]


@pytest.mark.parametrize("address", ["", "10.0.0.1", "testclient", "unix:/run/gateway"])
def test_what_is_no_address_of_ipv6_stays_as_it_is(address):
    assert one_address(address) == address
