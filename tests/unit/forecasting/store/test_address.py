import pytest

from forecasting.errors import ConfigError
from forecasting.store.address import store_address


def test_without_a_setting_the_store_is_a_file_of_the_home(tmp_path):
    address = store_address(None, tmp_path / "serving.db")
    assert address.file == tmp_path / "serving.db"
    assert address.shown == str(tmp_path / "serving.db")


def test_postgresql_is_reached_by_psycopg(tmp_path):
    assert store_address("postgresql://a@h/n", tmp_path).url.drivername == "postgresql+psycopg"
    assert store_address("postgresql+psycopg://a@h/n", tmp_path).url.drivername == "postgresql+psycopg"


def test_a_password_is_shown_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "p%40ss")
    address = store_address("postgresql://almanac:${SECRET}@db:5432/almanac?sslkey=k", tmp_path)
    assert address.url.password == "p@ss"
    assert address.shown == "postgresql+psycopg://almanac:***@db:5432/almanac?sslkey=%E2%80%A6"
    assert address.scrubbed("no entry for p@ss or p%40ss") == "no entry for *** or ${SECRET}"
    assert "p@ss" not in repr(address)
    assert "p%40ss" not in repr(address)


@pytest.mark.parametrize(
    "url",
    ["mysql://a@h/n", "postgresql+asyncpg://a@h/n", "serving.db", "sqlite://", "sqlite:///:memory:", "postgresql://h"],
)
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(
        ConfigError, match=r"store.url must be sqlite:///FILE or postgresql://.*found " + url.replace("+", r"\+")
    ):
        store_address(url, tmp_path)


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET", raising=False)
    with pytest.raises(ConfigError, match=r"store\.url names the environment variable SECRET"):
        store_address("postgresql://almanac:${SECRET}@db/almanac", tmp_path)
