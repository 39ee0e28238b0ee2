"""``rules``: the release of a folder of rules, signed by its author's key and checked by whoever runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.console import complain, fail, say
from streams.commands.library import ruleset_or_exit
from streams.signing import (
    KeyUnusable,
    NotSigned,
    key_id,
    read_private_key,
    read_public_keys,
    release,
    sign,
)
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

SIGN_EXAMPLE = "Example: bank-triggers rules sign ./my-triggers --key release-key.pem"
VERIFY_EXAMPLE = "Example: bank-triggers rules verify ./my-triggers --keys ./public-keys"

app = typer.Typer(help="The release of rules: signatures.", no_args_is_help=True)


@app.command(name="sign", epilog=SIGN_EXAMPLE)
def sign_rules(
    path: Annotated[Path, typer.Argument(help="The folder of rules, as workers are given it.")],
    key: Annotated[Path, typer.Option(help="The Ed25519 private key, as PEM.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="A file that holds the passphrase of the key, where it is encrypted.")
    ] = None,
) -> None:
    """Signs the rule set of a folder: all rule files that belong to it, byte for byte. They must have no errors.

    The signature stands in signatures.json in the folder, beside those of other keys for the same rules. A change of
    any rule file makes it void: sign last.

    The keys are made with: openssl genpkey -algorithm ed25519 -aes256 -out release-key.pem; and the public one, for
    the workers' setting ruleset_public_keys, with: openssl pkey -in release-key.pem -pubout -out release.pem
    """
    ruleset = _ruleset(path)
    try:
        passphrase = None if passphrase_file is None else passphrase_file.read_bytes().strip()
        private = read_private_key(key, passphrase)
        file = sign(ruleset, private, path)
    except KeyUnusable as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; expected files that can be read and written")
    say(f"rule set {ruleset.hash} is signed by the key {key_id(private.public_key())}: {file}")


@app.command(name="verify", epilog=VERIFY_EXAMPLE)
def verify_rules(
    path: Annotated[Path, typer.Argument(help="The folder of rules, as workers are given it.")],
    keys: Annotated[Path, typer.Option(help="The public keys, as in ruleset_public_keys.")],
) -> None:
    """Says whether a worker with these public keys would take the rules, as it would check them at its start."""
    ruleset = _ruleset(path)
    try:
        trust = read_public_keys(keys)
        found = release(ruleset, path, trust)
    except (KeyUnusable, NotSigned) as error:
        fail(str(error))
    signers = trust.signers(ruleset.document, found.signatures)
    say(f"rule set {ruleset.hash} is signed by the key {', '.join(signers)}")


def _ruleset(path: Path) -> RuleSet:
    loaded = load_ruleset([path])
    for problem in loaded.errors:
        complain(str(problem))
    return ruleset_or_exit(loaded, path)
