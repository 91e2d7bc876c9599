/* examples/scope-httpd/tls.c: TLS, by OpenSSL, which reads and writes memory.
 *
 * OpenSSL never touches the socket: what it wants to send lies in one BIO and is written by the
 * task, what comes is put into another.  So it never blocks, and every wait is a call of the
 * library with its cancels and deadlines.  Its queue of errors belongs to the thread: it is read
 * before the next call that may park.
 */
#include "httpd.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

struct tls {
	SSL_CTX *context;
};

struct session {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
};

/* ---- the certificate ------------------------------------------------------------------------- */

/* Of the protocols that a client knows the one that is spoken here. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
			   const unsigned char *offered, unsigned size, void *arg)
{
	static const unsigned char known[] = "\x08http/1.1";

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)out, out_size, known, sizeof known - 1, offered,
				  size) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

struct tls *tls_open(const char *certificate, const char *key)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	struct tls *tls = malloc(sizeof *tls);

	if (!tls || !context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(context) != 1) {
		SSL_CTX_free(context);
		free(tls);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	tls->context = context;
	return tls;
}

void tls_close(struct tls *tls)
{
	if (tls)
		SSL_CTX_free(tls->context);
	free(tls);
}

const char *tls_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason ? reason : "no memory";
}

/* ---- what goes over the wire ----------------------------------------------------------------- */

static int push(struct client *c)
{
	char *data;
	long size = BIO_get_mem_data(c->tls->out, &data);
	int rc;

	if (size <= 0)
		return 0;
	rc = scope_conn_write(c->conn, data, (size_t)size, NULL);
	(void)BIO_reset(c->tls->out);
	return rc;
}

/* -ENODATA: the client sends no more. */
static int pull(struct client *c)
{
	char part[4096];
	size_t n;
	int rc = scope_conn_read(c->conn, part, sizeof part, &n);

	if (rc < 0)
		return rc;
	if (n == 0)
		return -ENODATA;
	return BIO_write(c->tls->in, part, (int)n) == (int)n ? 0 : -ENOMEM;
}

/* After a call of OpenSSL that gave `result`: does what it wants and gives 0, then it is to be
 * called again; 1: it is done.  -ENODATA: the client has ended; -EPROTO: what it sends is no
 * TLS. */
static int after(struct client *c, int result)
{
	int wanted = result > 0 ? SSL_ERROR_NONE : SSL_get_error(c->tls->ssl, result), rc;

	ERR_clear_error();
	/* An alert, too, which says what was wrong. */
	rc = push(c);
	if (rc < 0)
		return rc;
	switch (wanted) {
	case SSL_ERROR_NONE: return 1;
	case SSL_ERROR_WANT_READ: return pull(c);
	case SSL_ERROR_WANT_WRITE: return 0;
	case SSL_ERROR_ZERO_RETURN: return -ENODATA;
	default: return -EPROTO;
	}
}

/* ---- a connection ---------------------------------------------------------------------------- */

int session_open(struct client *c)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session)
		return -ENOMEM;
	session->ssl = SSL_new(c->server->tls->context);
	session->in = BIO_new(BIO_s_mem());
	session->out = BIO_new(BIO_s_mem());
	if (!session->ssl || !session->in || !session->out) {
		BIO_free(session->in);
		BIO_free(session->out);
		SSL_free(session->ssl);
		free(session);
		ERR_clear_error();
		return -ENOMEM;
	}
	BIO_set_mem_eof_return(session->in, -1);
	SSL_set_bio(session->ssl, session->in, session->out);
	SSL_set_accept_state(session->ssl);
	c->tls = session;
	return 0;
}

int session_greet(struct client *c)
{
	int rc;

	do
		rc = after(c, SSL_do_handshake(c->tls->ssl));
	while (rc == 0);
	return rc < 0 ? rc : 0;
}

int session_read(struct client *c, void *buffer, size_t size, size_t *out_done)
{
	int rc;

	do {
		*out_done = 0;
		rc = after(c, SSL_read_ex(c->tls->ssl, buffer, size, out_done));
	} while (rc == 0);
	return rc < 0 && rc != -ENODATA ? rc : 0;
}

int session_write(struct client *c, const char *data, size_t size, size_t *out_done)
{
	size_t n;
	int rc;

	*out_done = 0;
	do
		rc = after(c, SSL_write_ex(c->tls->ssl, data, size, &n));
	while (rc == 0);
	if (rc < 0)
		return rc;
	*out_done = size;
	return 0;
}

bool session_has_more(const struct client *c)
{
	return SSL_has_pending(c->tls->ssl) || BIO_pending(c->tls->in) > 0;
}

int session_say_goodbye(struct client *c)
{
	SSL_shutdown(c->tls->ssl);
	ERR_clear_error();
	return push(c);
}

void session_close(struct client *c)
{
	if (!c->tls)
		return;
	SSL_free(c->tls->ssl);
	free(c->tls);
	c->tls = NULL;
}
