#include "unit/support/pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "support.h"

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

static X509 *make(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	static long serial = 1;
	X509 *cert = X509_new();
	assert_non_null(cert);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	                           (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert));
	if (issuer == NULL) {
		extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
	} else {
		extend(cert, issuer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
	}
	assert_true(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
	return cert;
}

static FILE *create(const char *name, const char *suffix)
{
	char file[128];
	snprintf(file, sizeof file, "%s-%s.pem", name, suffix);
	FILE *f = fopen(test_path(file), "wb");
	assert_non_null(f);
	return f;
}

void test_pki(const char *name)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	assert_non_null(ca_key);
	assert_non_null(key);
	X509 *ca = make(name, ca_key, NULL, ca_key);
	X509 *cert = make("127.0.0.1", key, ca, ca_key);

	FILE *f = create(name, "ca");
	assert_int_equal(PEM_write_X509(f, ca), 1);
	fclose(f);
	f = create(name, "cert");
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	f = create(name, "key");
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}
