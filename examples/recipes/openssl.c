/* examples/recipes/openssl.c: TLS by OpenSSL: it says what it wants, the task waits for that.
 *
 * Arguments: HOST PORT CA_FILE   prints what a web server says
 *
 * The descriptor does not block, so no call of OpenSSL parks the task: what it has to say about an
 * error is the thread's own, and is asked for before the task can go on in another thread.
 */
#include "recipe.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <scope_net.h>
#include <stdlib.h>

/* After a call that returned `done`: 1: make it again; 0: the other side has ended; or an error. */
static int wants(SSL *ssl, int done)
{
	unsigned event = SCOPE_FD_READ;
	int rc;

	switch (SSL_get_error(ssl, done)) {
	case SSL_ERROR_ZERO_RETURN: return 0;
	case SSL_ERROR_WANT_READ: break;
	case SSL_ERROR_WANT_WRITE: event = SCOPE_FD_WRITE; break;
	default:
		ERR_clear_error(); /* or the next task on this thread would find it */
		return -EPROTO;
	}
	rc = scope_fd_wait_until(SSL_get_fd(ssl), event, SCOPE_NEVER);
	return rc < 0 ? rc : 1;
}

static int talk(SSL *ssl)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	char text[4096];
	int n, rc;

	while ((n = SSL_connect(ssl)) <= 0)
		if ((rc = wants(ssl, n)) <= 0)
			return rc < 0 ? rc : -EPROTO;
	while ((n = SSL_write(ssl, request, sizeof request - 1)) <= 0)
		if ((rc = wants(ssl, n)) <= 0)
			return rc < 0 ? rc : -EPIPE;
	for (;;) {
		n = SSL_read(ssl, text, sizeof text);
		if (n > 0)
			fwrite(text, 1, (size_t)n, stdout);
		else if ((rc = wants(ssl, n)) <= 0)
			return rc;
	}
}

int recipe(void *args)
{
	char **arg = args, *host = arg[0], *ca_file = arg[2];
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct scope_conn *conn;
	SSL *ssl;
	int rc = scope_tcp_connect(host, (uint16_t)atoi(arg[1]), &conn);

	SSL_CTX_load_verify_file(context, ca_file);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (rc == 0) {
		ssl = SSL_new(context);
		SSL_set1_host(ssl, host);
		SSL_set_tlsext_host_name(ssl, host);
		SSL_set_fd(ssl, scope_conn_fd(conn));
		rc = talk(ssl);
		SSL_free(ssl);
		scope_conn_close(conn);
	}
	SSL_CTX_free(context);
	return rc;
}
