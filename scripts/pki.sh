# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Certificates for the demo and the tests: a root and what it signs, all of ECDSA P-256, in files
# $PKI/NAME.{pem,key}. Sourced after lib.sh.
#
#	pki_create "$WORLD/pki"
#	pki_certificate gateway vpn.acme.example         # for its DNS name
#	pki_expired old branch.acme.example              # good until yesterday
#	pki_revoke branch                                # and $PKI/ca.crl says so
#
# Another root is another folder: after pki_create, what follows is of that one; PKI=... goes back.

PKI=

# pki_create FOLDER [NAME]: the root, ca.pem, and an empty list of what it revoked, ca.crl.
pki_create()
{
	PKI=$1
	mkdir -m 700 "$PKI"
	mkdir "$PKI/issued"
	: >"$PKI/index"
	echo 1000 >"$PKI/serial"
	echo 01 >"$PKI/crlnumber"
	cat >"$PKI/openssl.cnf" <<-END
		[ca]
		default_ca = root
		[root]
		database = $PKI/index
		serial = $PKI/serial
		crlnumber = $PKI/crlnumber
		new_certs_dir = $PKI/issued
		certificate = $PKI/ca.pem
		private_key = $PKI/ca.key
		default_md = sha256
		default_crl_days = 30
		crl_extensions = crl_ext
		policy = any
		unique_subject = no
		[any]
		commonName = supplied
		[req]
		distinguished_name = name
		[name]
		[ca_ext]
		basicConstraints = critical, CA:TRUE
		keyUsage = critical, keyCertSign, cRLSign
		subjectKeyIdentifier = hash
		[crl_ext]
		authorityKeyIdentifier = keyid
	END
	pki_openssl req -new -x509 -config "$PKI/openssl.cnf" -extensions ca_ext -days 30 -subj "/CN=${2:-kaido test root}" \
		-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PKI/ca.key" -out "$PKI/ca.pem"
	pki_list
}

# pki_certificate NAME IDENTITY[,IDENTITY...] [OPTION...]: an identity is a DNS name, an IP address or a mail
# address (of a user); the first one is the common name as well. Options are those of openssl ca: dates.
pki_certificate()
{
	local name=$1 identities=$2 identity names=''

	shift 2
	for identity in ${identities//,/ }; do
		names+=,$(pki_kind "$identity"):$identity
	done
	identity=${identities%%,*}
	pki_openssl req -new -config "$PKI/openssl.cnf" -subj "/CN=$identity" -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
		-nodes -keyout "$PKI/$name.key" -out "$PKI/$name.csr"
	cat >"$PKI/$name.ext" <<-END
		basicConstraints = CA:FALSE
		keyUsage = critical, digitalSignature
		extendedKeyUsage = serverAuth, clientAuth
		subjectAltName = ${names#,}
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
	END
	pki_openssl ca -batch -notext -config "$PKI/openssl.cnf" -extfile "$PKI/$name.ext" -days 20 "$@" \
		-in "$PKI/$name.csr" -out "$PKI/$name.pem"
}

pki_kind()
{
	case $1 in
	*@*) echo email ;;
	*:* | *[0-9].[0-9]*) echo IP ;;
	*) echo DNS ;;
	esac
}

# pki_expired NAME IDENTITY: a certificate that was good until yesterday.
pki_expired()
{
	pki_certificate "$1" "$2" -startdate "$(pki_date '-20 days')" -enddate "$(pki_date '-1 day')"
}

pki_date()
{
	date -u -d "$1" +%Y%m%d%H%M%SZ
}

# pki_revoke NAME
pki_revoke()
{
	pki_openssl ca -config "$PKI/openssl.cnf" -revoke "$PKI/$1.pem"
	pki_list
}

# pki_list: the list of what was revoked, anew.
pki_list()
{
	pki_openssl ca -config "$PKI/openssl.cnf" -gencrl -out "$PKI/ca.crl"
}

# What openssl has to say is of interest if it fails.
pki_openssl()
{
	(umask 077 && openssl "$@" >"$PKI/log" 2>&1) || {
		cat "$PKI/log" >&2
		return 1
	}
}
