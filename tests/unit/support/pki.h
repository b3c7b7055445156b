/* pki - authorities and certificates for tests, made on the spot. */
#ifndef DIF_TESTS_PKI_H
#define DIF_TESTS_PKI_H

/* Writes NAME-ca.pem, NAME-cert.pem and NAME-key.pem into the test folder: an authority of its own
 * and a certificate for 127.0.0.1 and localhost that it has signed. */
void test_pki(const char *name);

#endif
