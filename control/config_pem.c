/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_pem.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define PEM_MAX   16    /* objects in one text */
#define VALUE_MAX 65535 /* bytes that vici takes in one value */

static const char *const labels[] = {
	[PEM_CERTIFICATE] = "CERTIFICATE",
	[PEM_CRL] = "X509 CRL",
};

/* No passphrase is asked for. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	return -1;
}

static bool is_parsable(enum pem_kind kind, const uint8_t *der, long size)
{
	const uint8_t *at = der;
	X509_CRL *crl;
	X509 *x509;

	if (kind == PEM_CRL) {
		crl = d2i_X509_CRL(NULL, &at, size);
		X509_CRL_free(crl);
		return crl != NULL && at == der + size;
	}
	x509 = d2i_X509(NULL, &at, size);
	X509_free(x509);
	return x509 != NULL && at == der + size;
}

/* How many there are; -1 with a mistake told. */
static int objects_check(struct config_reader *reader, const char *member, const char *text,
			 enum pem_kind kind)
{
	BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
	char *name, *header;
	bool good = true;
	uint8_t *der;
	long size;
	int n = 0;

	if (bio == NULL) {
		reader->failed = true;
		return -1;
	}
	while (good && PEM_read_bio(bio, &name, &header, &der, &size) == 1) {
		good = strcmp(name, labels[kind]) == 0 && size <= VALUE_MAX &&
		       is_parsable(kind, der, size);
		if (strcmp(name, labels[kind]) != 0)
			reader_error_of(reader, member, "holds a %.40s; give PEM of %s", name,
					labels[kind]);
		else if (size > VALUE_MAX)
			reader_error_of(reader, member, "has %ld bytes; charon takes at most %d",
					size, VALUE_MAX);
		else if (!good)
			reader_error_of(reader, member, "part %d can't be read: it is damaged",
					n + 1);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
		n++;
	}
	ERR_clear_error();
	BIO_free(bio);
	return good ? n : -1;
}

char *pem_parse(struct config_reader *reader, const json_t *json, const char *member,
		enum pem_kind kind)
{
	const char *text = field_string(reader, json, member, false);
	char *copy;
	int n;

	if (text == NULL || text[0] == '\0')
		return NULL;
	n = reader->stored ? 1 : objects_check(reader, member, text, kind);
	if (n == 0 || n > PEM_MAX)
		reader_error_of(reader, member,
				"holds %d: give PEM (-----BEGIN %s-----) of 1 to %d", n,
				labels[kind], PEM_MAX);
	if (n <= 0 || n > PEM_MAX)
		return NULL;
	copy = strdup(text);
	reader->failed |= copy == NULL;
	return copy;
}

/* -- what belongs together -- */

static X509 *first_certificate(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
	X509 *x509 = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);

	BIO_free(bio);
	return x509;
}

static void key_check(struct config_reader *reader, X509 *x509, const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
	EVP_PKEY *key =
		bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);

	BIO_free(bio);
	if (key == NULL && strstr(text, "ENCRYPTED") != NULL)
		reader_error_of(reader, "key",
				"is encrypted: decrypt it (openssl pkey -in FILE -out FILE); it is "
				"sealed as soon as it is here");
	else if (key == NULL)
		reader_error_of(reader, "key",
				"is not a private key in PEM (-----BEGIN PRIVATE KEY-----)");
	else if (x509 != NULL && X509_check_private_key(x509, key) != 1)
		reader_error_of(reader, "key",
				"is not that of the certificate: give the key that "
				"it was made for");
	EVP_PKEY_free(key);
}

static bool identity_in(X509 *x509, const char *id)
{
	unsigned int flags = X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

	if (strchr(id, '=') != NULL) /* a subject: written in many ways, charon compares it */
		return true;
	if (strchr(id, '@') != NULL)
		return X509_check_email(x509, id, 0, flags) == 1;
	return X509_check_ip_asc(x509, id, flags) == 1 ||
	       X509_check_host(x509, id, 0, flags, NULL) == 1;
}

void pem_check_own(struct config_reader *reader, const char *certificate, const char *key,
		   const char *member, const char *id)
{
	X509 *x509 = certificate == NULL ? NULL : first_certificate(certificate);

	if (key != NULL)
		key_check(reader, x509, key);
	if (x509 != NULL && id != NULL && !identity_in(x509, id))
		reader_error_of(reader, member,
				"'%.60s' is not a subjectAltName of the certificate: peers would "
				"refuse it, give one that it has",
				id);
	X509_free(x509);
	ERR_clear_error();
}

static STACK_OF(X509) * certificates_read(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
	STACK_OF(X509) *list = sk_X509_new_null();
	X509 *x509;

	while (bio != NULL && list != NULL &&
	       (x509 = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
		sk_X509_push(list, x509);
	BIO_free(bio);
	return list;
}

static bool crl_is_of(X509_CRL *crl, const STACK_OF(X509) * list)
{
	for (int i = 0; i < sk_X509_num(list); i++) {
		X509 *x509 = sk_X509_value(list, i);

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(x509)) == 0 &&
		    X509_CRL_verify(crl, X509_get0_pubkey(x509)) == 1)
			return true;
	}
	return false;
}

static void crls_check(struct config_reader *reader, const char *text, const STACK_OF(X509) * list)
{
	BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
	X509_CRL *crl;
	int n = 0;

	while (bio != NULL &&
	       (crl = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL)) != NULL) {
		n++;
		if (!crl_is_of(crl, list))
			reader_error_of(reader, "crl",
					"part %d was not signed by a CA of `ca`: give the list of "
					"that CA",
					n);
		X509_CRL_free(crl);
	}
	BIO_free(bio);
}

void pem_check_ca(struct config_reader *reader, const char *ca, const char *crl)
{
	STACK_OF(X509) *list = certificates_read(ca);
	bool root = false;

	for (int i = 0; list != NULL && i < sk_X509_num(list); i++) {
		X509 *x509 = sk_X509_value(list, i);

		if (X509_check_ca(x509) != 1)
			reader_error_of(reader, "ca",
					"certificate %d is not that of a CA (basicConstraints)",
					i + 1);
		root |= X509_self_signed(x509, 1) == 1;
	}
	if (!root)
		reader_error_of(reader, "ca",
				"has no root: charon trusts self-signed CA "
				"certificates only, put it behind the others");
	if (crl != NULL && list != NULL)
		crls_check(reader, crl, list);
	sk_X509_pop_free(list, X509_free);
	ERR_clear_error();
}

int pem_next(const char **text, struct pem_part *part)
{
	BIO *bio = BIO_new_mem_buf(*text, (int)strlen(*text));
	char *name = NULL, *header = NULL, *rest;
	long size = 0;
	int got = 0;

	memset(part, 0, sizeof(*part));
	if (bio != NULL)
		got = PEM_read_bio(bio, &name, &header, &part->der, &size);
	part->size = (size_t)size;
	if (got == 1 && BIO_get_mem_data(bio, &rest) >= 0)
		*text += strlen(*text) - (size_t)BIO_pending(bio);
	OPENSSL_free(name);
	OPENSSL_free(header);
	BIO_free(bio);
	ERR_clear_error();
	return got == 1 ? 1 : 0;
}

void pem_part_free(struct pem_part *part)
{
	OPENSSL_free(part->der);
	part->der = NULL;
}

/* The time is that of the host, as charon takes it. */
static int time_days_left(const ASN1_TIME *end, char text[PEM_DAY_LEN])
{
	int days, seconds;
	struct tm day;

	if (end == NULL || ASN1_TIME_to_tm(end, &day) != 1 ||
	    ASN1_TIME_diff(&days, &seconds, NULL, end) != 1)
		return INT_MAX;
	strftime(text, PEM_DAY_LEN, "%Y-%m-%d", &day);
	return seconds < 0 ? days - 1 : days;
}

int pem_days_left(enum pem_kind kind, const struct pem_part *part, char day[PEM_DAY_LEN])
{
	const uint8_t *at = part->der;
	X509_CRL *crl;
	X509 *x509;
	int days;

	day[0] = '\0';
	if (kind == PEM_CRL) {
		crl = d2i_X509_CRL(NULL, &at, (long)part->size);
		days = time_days_left(crl == NULL ? NULL : X509_CRL_get0_nextUpdate(crl), day);
		X509_CRL_free(crl);
		return days;
	}
	x509 = d2i_X509(NULL, &at, (long)part->size);
	days = time_days_left(x509 == NULL ? NULL : X509_get0_notAfter(x509), day);
	X509_free(x509);
	return days;
}
