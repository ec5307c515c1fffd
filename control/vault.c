/* SPDX-License-Identifier: BSD-3-Clause */
#include "vault.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "log.h"

#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_Static_assert(VAULT_OVERHEAD == NONCE_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES,
	       "what sealing adds");
_Static_assert(crypto_kdf_KEYBYTES == 32, "the master key is 32 bytes");

struct vault { /* in sodium_malloc() memory: locked, not dumped, guarded, wiped */
	uint8_t master[crypto_kdf_KEYBYTES];
	uint8_t seal[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	uint8_t digest[VAULT_PURPOSES][32];
};

static int directory_sync(const char *path)
{
	char copy[PATH_MAX];
	int fd, ret = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

static int master_make(const char *path, struct vault *vault)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int ret = 0;

	if (fd < 0) {
		ret = -errno;
		log_error("%s: can't make the master key: %s", path, strerror(errno));
		return ret;
	}
	randombytes_buf(vault->master, sizeof(vault->master));
	if (write(fd, vault->master, sizeof(vault->master)) != (ssize_t)sizeof(vault->master) ||
	    fsync(fd) < 0)
		ret = errno == 0 ? -EIO : -errno;
	if (close(fd) < 0 && ret == 0)
		ret = -errno;
	if (ret == 0)
		ret = directory_sync(path);
	if (ret < 0) {
		log_error("%s: can't write the master key: %s", path, strerror(-ret));
		unlink(path);
		return ret;
	}
	log_info("%s: made a new master key; keep a copy of it apart from the state", path);
	return 0;
}

static int master_check(const char *path, int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || (status.st_mode & 077) != 0 ||
	    (status.st_uid != geteuid() && status.st_uid != 0)) {
		log_error("%s: the master key must be a file of kaidod's own user that nobody "
			  "else can read: chown it and chmod 600",
			  path);
		return -EPERM;
	}
	if (status.st_size == (off_t)crypto_kdf_KEYBYTES)
		return 0;
	log_error("%s: the master key has 32 bytes, this file has %lld: put the right one back, "
		  "or remove the file if nothing was ever stored under it",
		  path, (long long)status.st_size);
	return -EINVAL;
}

static int master_read(const char *path, struct vault *vault)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int ret;

	if (fd < 0 && errno == ENOENT)
		return master_make(path, vault);
	if (fd < 0) {
		ret = -errno;
		log_error("%s: can't read the master key: %s", path, strerror(-ret));
		return ret;
	}
	ret = master_check(path, fd);
	if (ret == 0 &&
	    read(fd, vault->master, sizeof(vault->master)) != (ssize_t)sizeof(vault->master))
		ret = -EIO;
	close(fd);
	return ret;
}

int vault_open(const char *path, struct vault **out)
{
	struct vault *vault;
	int ret;

	if (sodium_init() < 0)
		return -EIO;
	vault = sodium_malloc(sizeof(*vault));
	if (vault == NULL)
		return -ENOMEM;
	ret = master_read(path, vault);
	if (ret < 0) {
		sodium_free(vault);
		return ret;
	}
	crypto_kdf_derive_from_key(vault->seal, sizeof(vault->seal), 1, "kaidseal", vault->master);
	for (unsigned int i = 0; i < VAULT_PURPOSES; i++)
		crypto_kdf_derive_from_key(vault->digest[i], sizeof(vault->digest[i]), i + 1,
					   "kaiddgst", vault->master);
	sodium_memzero(vault->master, sizeof(vault->master));
	sodium_mprotect_readonly(vault);
	*out = vault;
	return 0;
}

void vault_close(struct vault *vault)
{
	sodium_free(vault);
}

void vault_digest(const struct vault *vault, enum vault_purpose purpose, const void *data,
		  size_t size, uint8_t digest[VAULT_DIGEST_LEN])
{
	crypto_generichash(digest, VAULT_DIGEST_LEN, data, size, vault->digest[purpose],
			   sizeof(vault->digest[purpose]));
}

void vault_seal(const struct vault *vault, const void *identity, size_t identity_size,
		const void *plain, size_t size, uint8_t *sealed)
{
	randombytes_buf(sealed, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_LEN, NULL, plain, size, identity,
						   identity_size, NULL, sealed, vault->seal);
}

int vault_unseal(const struct vault *vault, const void *identity, size_t identity_size,
		 const uint8_t *sealed, size_t size, void *plain)
{
	if (size < VAULT_OVERHEAD ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed + NONCE_LEN,
						       size - NONCE_LEN, identity, identity_size,
						       sealed, vault->seal) != 0)
		return -EBADMSG;
	return 0;
}
