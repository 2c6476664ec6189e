"""Which names say that their value is a secret, and that such values don't get out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench.inside.secrets import hide_in_words, is_secret, secret_values, without_secrets

SECRETS = (
    "key token secret password api_key AUTH_TOKEN apiKey OPENAI_API_KEY AWS_ACCESS_KEY_ID "
    "AWS_SECRET_ACCESS_KEY PGPASSWORD HF_TOKEN githubtoken apikey dbPassword API_KEYS passwords "
    "GITHUB_TOKEN_2 model.api_key auth.token auth-token client_secret SECRET_KEY_BASE "
    "passphrase x-api-key"
).split()
HARMLESS = (
    "keyboard tokenizer max_tokens key_dim pad_token_id eos_token num_tokens monkey keys lr "
    "tokenizer.max_length attention.key.dim token_dropout sort_key keep_prob secretary tokens "
    "token_type_ids hotkeys subtokens"
).split()


@pytest.mark.parametrize("name", SECRETS)
def test_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str) -> None:
    assert not is_secret(name)


@given(st.sampled_from(SECRETS), st.sampled_from("_ . - / :".split()), st.text("xyz", min_size=1))
def test_words_around_it_make_no_secret_harmless(name: str, sign: str, word: str) -> None:
    assert is_secret(f"{word}{sign}{name}")
    assert is_secret(f"{name}{sign}{word}")


@given(st.text())
def test_any_text_is_judged(name: str) -> None:
    assert is_secret(name) in (True, False)


values = st.text("abc", min_size=8, max_size=12)


@given(st.dictionaries(st.sampled_from(SECRETS + HARMLESS), values), st.lists(st.text("abcd")))
def test_no_secret_value_is_left_in_a_text(environment: dict[str, str], words: list[str]) -> None:
    secrets = secret_values(environment)
    assert set(secrets) == {value for name, value in environment.items() if is_secret(name)}
    text = " ".join([*words, *secrets])
    shown = without_secrets(text, secrets)
    assert not any(value in shown for value in secrets)


def test_short_values_are_left_alone() -> None:
    assert secret_values({"TOKEN": "short", "KEY": "12345678"}) == ("12345678",)


def test_secrets_of_a_command_line() -> None:
    line = "train.py --api-key=abc --token xyz --lr 0.1 --max-tokens 5 password=1 --key --x token"
    assert " ".join(hide_in_words(line.split())) == (
        "train.py --api-key=*** --token *** --lr 0.1 --max-tokens 5 password=*** --key --x token"
    )
