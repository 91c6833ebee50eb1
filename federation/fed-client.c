#include "federation/fed-client.h"

#include "crypto/json-writer.h"
#include "federation/x-matrix.h"

#include <string.h>

struct _CmFedClient {
  CmOutbound *outbound;
  CmDiscovery *discovery;
  char *server_name;
  CmSigningKey *key;
  CmBackoff *backoff;
};

/* What stays the same for all addresses of a server. */
typedef struct {
  char *authorization; /* nullable */
  GBytes *body;        /* nullable */
} Prepared;

static void
prepared_clear (Prepared *prepared)
{
  g_free (prepared->authorization);
  g_clear_pointer (&prepared->body, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Prepared, prepared_clear)

static gboolean
prepare (CmFedClient *client, const char *server, const CmFedRequest *request, Prepared *prepared,
         GError **error)
{
  if (request->content != NULL) {
    prepared->body = cm_json_canonical (request->content, NULL, error);
    if (prepared->body == NULL)
      return FALSE;
  }
  if (request->unsigned_request)
    return TRUE;
  prepared->authorization = cm_x_matrix_sign (request->method, request->target, client->server_name,
                                              server, request->content, client->key, error);
  return prepared->authorization != NULL;
}

static CmOutboundAnswer *
call_address (CmFedClient *client, const CmServerAddress *address, const CmFedRequest *request,
              const Prepared *prepared, GError **error)
{
  g_autofree char *url =
      g_strdup_printf (strchr (address->tls_name, ':') ? "https://[%s]%s" : "https://%s%s",
                       address->tls_name, request->target);
  const CmOutboundRequest outbound = {
    .method = request->method,
    .url = url,
    .connect_host = address->host,
    .connect_port = address->port,
    .tls_name = address->tls_name,
    .host_header = address->host_header,
    .authorization = prepared->authorization,
    .body = prepared->body,
    .max_bytes = request->max_bytes,
    .timeout_ms = request->timeout_ms,
    .repeatable = TRUE,
  };

  return cm_outbound_call (client->outbound, &outbound, error);
}

/* The candidates in turn. Only an address that could not be reached leads to the next. */
static CmOutboundAnswer *
call_server (CmFedClient *client, const char *server, const CmFedRequest *request, GError **error)
{
  g_auto (Prepared) prepared = { 0 };
  g_autoptr (GPtrArray) candidates = NULL;

  if (!prepare (client, server, request, &prepared, error))
    return NULL;
  candidates = cm_discovery_find (client->discovery, server, error);
  for (guint i = 0; candidates != NULL && i < candidates->len; i++) {
    g_autoptr (GError) failure = NULL;
    CmOutboundAnswer *answer =
        call_address (client, candidates->pdata[i], request, &prepared, &failure);

    if (answer != NULL)
      return answer;
    if (i + 1 == candidates->len || !g_error_matches (failure, CM_ERROR, CM_ERROR_BAD_GATEWAY)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      break;
    }
  }
  return NULL;
}

/* What the specification gives such a status although the server is well (client-server, "Content
 * repository"). */
static gboolean
is_about_media (const CmOutboundAnswer *answer)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (answer->body, NULL);
  const char *errcode = cm_json_get_text (cm_json_doc_root (doc), "errcode");

  return g_strcmp0 (errcode, cm_error_errcode (CM_ERROR_NOT_YET_UPLOADED)) == 0 ||
         g_strcmp0 (errcode, cm_error_errcode (CM_ERROR_TOO_LARGE)) == 0;
}

/* A gateway that says that the server behind it is not there speaks for a server that is down; any
 * other answer is the server's own. */
static gboolean
is_down (const CmOutboundAnswer *answer)
{
  return (answer->status == 502 || answer->status == 503 || answer->status == 504) &&
         !is_about_media (answer);
}

static void
note_outcome (CmFedClient *client, const char *server, const CmOutboundAnswer *answer,
              const GError *failure)
{
  if (answer != NULL && !is_down (answer)) {
    cm_backoff_succeeded (client->backoff, server);
    return;
  }
  if (answer == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_BAD_GATEWAY) &&
      !g_error_matches (failure, CM_ERROR, CM_ERROR_GATEWAY_TIMEOUT))
    return; /* ours, or an answer that is too long */
  cm_backoff_failed (client->backoff, server);
  cm_discovery_failed (client->discovery, server);
}

static CmOutboundAnswer *
call (CmFedClient *client, const char *server, const CmFedRequest *request, GError **error)
{
  g_autoptr (GError) failure = NULL;
  CmOutboundAnswer *answer;

  if (!request->ignore_backoff && cm_backoff_until (client->backoff, server) != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server could not be reached lately");
    return NULL;
  }
  answer = call_server (client, server, request, &failure);
  note_outcome (client, server, answer, failure);
  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  return answer;
}

/* Errors of a peer that may become a client's: never those that speak of the client's own token or
 * account. */
static CmError
code_of_errcode (const char *errcode)
{
  static const CmError passed_on[] = {
    CM_ERROR_FORBIDDEN,
    CM_ERROR_NOT_FOUND,
    CM_ERROR_UNRECOGNIZED,
    CM_ERROR_LIMIT_EXCEEDED,
    CM_ERROR_BAD_JSON,
    CM_ERROR_MISSING_PARAM,
    CM_ERROR_INVALID_PARAM,
    CM_ERROR_TOO_LARGE,
    CM_ERROR_NOT_YET_UPLOADED,
    CM_ERROR_BAD_STATE,
    CM_ERROR_INVALID_ROOM_STATE,
    CM_ERROR_UNSUPPORTED_ROOM_VERSION,
    CM_ERROR_INCOMPATIBLE_ROOM_VERSION,
    CM_ERROR_INVITE_BLOCKED,
    CM_ERROR_UNABLE_TO_AUTHORISE_JOIN,
    CM_ERROR_UNABLE_TO_GRANT_JOIN,
  };

  for (gsize i = 0; errcode != NULL && i < G_N_ELEMENTS (passed_on); i++)
    if (g_str_equal (cm_error_errcode (passed_on[i]), errcode))
      return passed_on[i];
  return CM_ERROR_BAD_GATEWAY;
}

/* What the peer says about a request that it refused; of the peer's text no more than a line is
 * passed on. */
static void
fail_with_answer (const CmOutboundAnswer *answer, GError **error)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (answer->body, NULL);
  const CmJson *root = cm_json_doc_root (doc);
  const char *text = cm_json_get_text (root, "error");
  g_autofree char *line =
      text != NULL ? g_utf8_substring (text, 0, MIN (200, g_utf8_strlen (text, -1))) : NULL;

  if (answer->status < 400 || (answer->status >= 500 && !is_about_media (answer)))
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server answered with status %u",
                 answer->status);
  else
    g_set_error (error, CM_ERROR, code_of_errcode (cm_json_get_text (root, "errcode")), "%s",
                 line != NULL ? line : "The server refused the request");
}

CmJsonDoc *
cm_fed_call (CmFedClient *client, const char *server, const CmFedRequest *request, unsigned *status,
             GError **error)
{
  g_autoptr (CmOutboundAnswer) answer = call (client, server, request, error);
  CmJsonDoc *doc;

  if (status != NULL)
    *status = answer != NULL ? answer->status : 0;
  if (answer == NULL)
    return NULL;
  if (answer->status != 200) {
    fail_with_answer (answer, error);
    return NULL;
  }
  doc = cm_json_parse_object (g_bytes_get_data (answer->body, NULL),
                              g_bytes_get_size (answer->body), NULL);
  if (doc == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server's answer is no JSON object");
  return doc;
}

CmOutboundAnswer *
cm_fed_call_raw (CmFedClient *client, const char *server, const CmFedRequest *request,
                 GError **error)
{
  g_autoptr (CmOutboundAnswer) answer = call (client, server, request, error);

  if (answer != NULL && answer->status != 200) {
    fail_with_answer (answer, error);
    return NULL;
  }
  return g_steal_pointer (&answer);
}

char *
cm_fed_path (const char *format, ...)
{
  g_autoptr (GString) path = g_string_new (NULL);
  va_list segments;

  va_start (segments, format);
  for (const char *c = format; *c != '\0'; c++) {
    if (c[0] == '%' && c[1] == 's') {
      g_string_append_uri_escaped (path, va_arg (segments, const char *), NULL, FALSE);
      c++;
    } else {
      g_string_append_c (path, *c);
    }
  }
  va_end (segments);
  return g_string_free (g_steal_pointer (&path), FALSE);
}

CmFedClient *
cm_fed_client_new (CmOutbound *outbound, CmDiscovery *discovery, const char *server_name,
                   CmSigningKey *key)
{
  CmFedClient *client = g_new0 (CmFedClient, 1);

  client->outbound = outbound;
  client->discovery = discovery;
  client->server_name = g_strdup (server_name);
  client->key = cm_signing_key_ref (key);
  client->backoff = cm_backoff_new ();
  return client;
}

void
cm_fed_client_free (CmFedClient *client)
{
  cm_backoff_free (client->backoff);
  cm_signing_key_unref (client->key);
  g_free (client->server_name);
  g_free (client);
}

void
cm_fed_client_heard (CmFedClient *client, const char *server)
{
  cm_backoff_succeeded (client->backoff, server);
}

CmBackoff *
cm_fed_client_backoff (CmFedClient *client)
{
  return client->backoff;
}
