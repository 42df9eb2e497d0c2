"""Certificates, and a broker that wants TLS, users and permission."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from teleglas_cli.commands.acls import rules_in
from teleglas_cli.stack.kafka import EmbeddedKafka
from teleglas_cli.stack.ports import LOOPBACK, free_ports
from teleglas_common.bus.kafka import KafkaBus, KafkaSettings
from teleglas_common.bus.kafka.acls import Rule, allow
from teleglas_common.settings import KafkaSection
from teleglas_whale_detector.adapters.faust_topics import INTERNAL

__all__ = ["ACL_TABLE", "Certificates", "SecureKafka", "rules", "users"]

ACL_TABLE = Path(__file__).parents[2] / "deploy" / "helm" / "teleglas" / "topics.yaml"


def users() -> tuple[str, ...]:
    """Everybody whom the table knows."""
    return tuple(yaml.safe_load(ACL_TABLE.read_text())["users"])


def rules() -> list[Rule]:
    return rules_in(ACL_TABLE.read_text())


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain, and its key."""

    cert_file: Path
    key_file: Path


class Certificates:
    """An authority of the test's own, below one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str, common_name: str | None = None, file: str = "server") -> Pair:
        """Write a certificate; again under the same file name replaces it."""
        leaf = self._authority.issue_cert(*names, common_name=common_name)
        pair = Pair(self._folder / f"{file}.pem", self._folder / f"{file}.key")
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pair.key_file.touch(mode=0o600)
        pair.key_file.write_bytes(pem)
        pair.cert_file.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        return pair


class _Ruled(EmbeddedKafka):
    """A broker that has the rules, and Faust's own topics, before anybody comes."""

    async def start(self) -> None:
        await super().start()
        settings = KafkaSettings(self.bootstrap)
        await allow(settings, rules())
        await KafkaBus(settings).create(INTERNAL)


class SecureKafka:
    """The embedded broker with a listener for SCRAM over TLS and one for client certificates.

    Its plain listener on this machine is the broker's own and the administrator's.
    """

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.certificates = Certificates(folder / "certificates")
        self.passwords = {name: secrets.token_urlsafe(18) for name in names}
        pair = self.certificates.issue(LOOPBACK, "localhost")
        store = folder / "certificates" / "broker.pem"
        store.touch(mode=0o600)
        store.write_bytes(pair.key_file.read_bytes() + pair.cert_file.read_bytes())
        plain, self.sasl_port, self.ssl_port, controller = free_ports(4)
        listeners = {
            "PLAINTEXT": plain,
            "SASL_SSL": self.sasl_port,
            "SSL": self.ssl_port,
        }
        shown = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in listeners.items())
        self.server = _Ruled(
            folder / "kafka",
            plain,
            overrides={
                "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
                "listeners": f"{shown},CONTROLLER://{LOOPBACK}:{controller}",
                "advertised.listeners": shown,
                "listener.security.protocol.map": (
                    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
                ),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(store),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.certificates.ca_file),
                "listener.name.ssl.ssl.client.auth": "required",
                "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            },
            format_arguments=[
                argument
                for name, password in self.passwords.items()
                for argument in (
                    "--add-scram",
                    f"SCRAM-SHA-512=[name={name},password={password}]",
                )
            ],
        )

    def section(self, user: str) -> KafkaSection:
        """How one user comes in by password."""
        return KafkaSection(
            bootstrap=f"{LOOPBACK}:{self.sasl_port}",
            security_protocol="SASL_SSL",
            sasl_username=user,
            sasl_password=SecretStr(self.passwords[user]),
            ssl_ca_file=self.certificates.ca_file,
        )

    def variables(self, user: str) -> tuple[tuple[str, str, str], ...]:
        """The same as a service is told, by its name."""
        section = self.section(user)
        told = {
            "BOOTSTRAP": section.bootstrap,
            "SECURITY_PROTOCOL": section.security_protocol,
            "SASL_USERNAME": user,
            "SASL_PASSWORD": self.passwords[user],
            "SSL_CA_FILE": str(section.ssl_ca_file),
        }
        return tuple((user, f"TELEGLAS_KAFKA__{name}", value) for name, value in told.items())

    def certified(self, user: str) -> KafkaSection:
        """How one user comes in by certificate."""
        pair = self.certificates.issue("client.invalid", common_name=user, file=user)
        return KafkaSection(
            bootstrap=f"{LOOPBACK}:{self.ssl_port}",
            security_protocol="SSL",
            ssl_ca_file=self.certificates.ca_file,
            ssl_cert_file=pair.cert_file,
            ssl_key_file=pair.key_file,
        )
