"""What must not get into the record: values whose name says that they are a secret.

Names are taken apart into words, at signs and at changes of case, for a `tokenizer` and a
`keyboard` are none, and neither is the size of a key. Where it isn't clear, it is a secret.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # type checkers take it for True; importing typing costs milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HIDDEN = "***"
"""What stands in the record instead of a secret."""

_SHORTEST_VALUE = 8
"""In characters: what is shorter turns up in text by chance."""

_ALWAYS = ("secret", "secrets", "password", "passwords", "passphrase", "passwd")
_KEYS_OF = ("access", "api", "auth", "private", "secret", "signing")
# What follows the word where it is a model's or a table's, as in `key_dim` and `token_dropout`.
_MEASURES = frozenset(
    "bias column columns count dim dims dropout embedding embeddings head heads layer layers len "
    "length limit mask max mean min mixer mixing norm num padding per pooling proj projection rate "
    "size sizes type types value width".split()
)
# What goes before it where it names a place in a sequence or a table.
_PLACES = {
    "key": frozenset(
        "column feature foreign group image input label metric monitor output primary sort "
        "target".split()
    ),
    "token": frozenset(
        "bos class cls end eos image mask pad per prompt sep special start stop unk".split()
    ),
}


def is_secret(name: str) -> bool:
    """Whether a name says KEY, TOKEN, SECRET or PASSWORD of its value: `api_key`, `AUTH_TOKEN`."""
    words = _words(name)
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if word.endswith(_ALWAYS) or word.startswith("password"):
            return True
        if word == "keys" and before in _KEYS_OF:
            return True
        if word.endswith("key") and word[:-3] in _KEYS_OF:
            return True
        if word.endswith("token") or word == "key":
            kind = "key" if word == "key" else "token"
            if after not in _MEASURES and before not in _PLACES[kind]:
                return True
    return False


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the variables whose name says secret, the longest first.

    Those of fewer than 8 characters are left out.
    """
    found = {
        value
        for name, value in environment.items()
        if len(value) >= _SHORTEST_VALUE and is_secret(name)
    }
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def without_secrets(text: str, values: Iterable[str]) -> str:
    """The text with `***` wherever one of these values turns up."""
    for value in values:
        text = text.replace(value, HIDDEN)
    return text


def hide_in_words(words: Iterable[str]) -> list[str]:
    """The words of a command line without the values of `--api-key=…` and `--token …`."""
    shown: list[str] = []
    hides_next = False
    for word in words:
        name, is_given, _value = word.partition("=")
        is_secret_name = is_secret(name) and (is_given or word.startswith("-"))
        if hides_next and not word.startswith("-"):
            shown.append(HIDDEN)
        elif is_secret_name and is_given:
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(word)
        hides_next = is_secret_name and not is_given
    return shown


def of_this_process() -> tuple[str, ...]:
    """The secret values of this process's own environment, as it was when first asked for."""
    if not _own:
        _own.append(secret_values(os.environ))
    return _own[0]


_own: list[tuple[str, ...]] = []


def _words(name: str) -> list[str]:
    """`modelAPIKey_2` is model, api, key, 2; in small letters."""
    words: list[str] = []
    word = ""
    for place, letter in enumerate(name):
        following = name[place + 1 : place + 2]
        begins = letter.isupper() and (word[-1:].islower() or (word and following.islower()))
        if not letter.isalnum() or begins:
            words.append(word)
            word = ""
        if letter.isalnum():
            word += letter
    return [each.lower() for each in [*words, word] if each]
