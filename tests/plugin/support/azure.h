/* azure - what the tests of azure.so share: its section, replies as the service writes them. */
#ifndef DIF_TESTS_AZURE_H
#define DIF_TESTS_AZURE_H

#include "tests/plugin/support/checks.h"
#include "tests/plugin/support/running.h"

#define KEY \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define SECTION "[store t]\nplugin = azure\ncontainer = site\n"
#define INI SECTION "account = acct\naccount_key = " KEY "\n"
#define AT "https://acct.blob.core.windows.net/site"
#define HELLO_MD5 "XrY7u+Ae7tCTyyK7j1rNww=="
#define ERROR(code)                                                                \
	"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>" code \
	"</Code><Message>A sentence.\nRequestId:7\nTime:2026</Message></Error>"
#define LIST(inside, next)                                                                \
	"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults "      \
	"ServiceEndpoint=\"https://acct.blob.core.windows.net/\" ContainerName=\"site\">" \
	"<Blobs>" inside "</Blobs><NextMarker>" next "</NextMarker></EnumerationResults>"
#define ROW(name)                                                                          \
	"<Blob><Name>" name "</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 " \
	"GMT</Last-Modified><Etag>0x8D1</Etag><Content-Length>11</Content-Length>"         \
	"<Content-Type>text/html</Content-Type><Content-Encoding />"                       \
	"<Content-MD5>" HELLO_MD5 "</Content-MD5><Cache-Control>max-age=5</Cache-Control>" \
	"<BlobType>BlockBlob</BlobType></Properties><Metadata><order>7</order>"            \
	"<sha256>ab</sha256></Metadata></Blob>"

void azure_begin(const char *ini);
void azure_end(void);
void azure_expect(const struct script_want *want, const struct script_reply *reply);
/* What was signed must be this, with %s for the date. */
void azure_check_signature(size_t request, const char *format);
/* Group setup: what the machine's owner set for other programs does not reach the tests. */
int azure_without_environment(void **state);

#endif
