# SPDX-License-Identifier: BSD-3-Clause
"""Certificates for tests, as PEM text: made once a process, of small EC keys."""

import datetime
import functools
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START = datetime.datetime(2024, 1, 1)
END = datetime.datetime(2044, 1, 1)


def text(thing):
    return thing.public_bytes(serialization.Encoding.PEM).decode()


def key_text(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def name_of(common):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
                      x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    def __init__(self, name):
        self.name = name_of(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.builder(self.name, self.key).issuer_name(self.name).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(self.key, hashes.SHA256())
        self.pem = text(self.certificate)

    @staticmethod
    def builder(name, key, end=END):
        return (x509.CertificateBuilder().subject_name(name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(START).not_valid_after(end))

    def issue(self, name, end=END):
        """A certificate for that name (or address, or mail address), and its key, as text."""
        key = ec.generate_private_key(ec.SECP256R1())
        if "@" in name:
            alternative = x509.RFC822Name(name)
        elif name.replace(".", "").isdigit():
            alternative = x509.IPAddress(ipaddress.ip_address(name))
        else:
            alternative = x509.DNSName(name)
        certificate = self.builder(name_of(name), key, end).issuer_name(self.name).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True).add_extension(
            x509.SubjectAlternativeName([alternative]), critical=False).sign(self.key, hashes.SHA256())
        return text(certificate), key_text(key)

    def revoke(self, *certificates, end=END):
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(START).next_update(end)
        for pem in certificates:
            serial = x509.load_pem_x509_certificate(pem.encode()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(START).build())
        return text(builder.sign(self.key, hashes.SHA256()))


@functools.cache
def authority(name="ca"):
    return Authority(name)


@functools.cache
def issued(name, by="ca"):
    return authority(by).issue(name)
