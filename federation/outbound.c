#include "federation/outbound.h"

#include "federation/outbound-loop.h"
#include "federation/outbound-names.h"

#include <libsoup/soup.h>

#define DEFAULT_MAX_BYTES  (1024 * 1024)
#define DEFAULT_TIMEOUT_MS 30000
#define CONNECT_MS         8000
#define SERVICE_MS         10000
#define MAX_ADDRESSES      4

struct _CmOutbound {
  GResolver *resolver;
  CmNames *names;
  CmOutboundLoop *loop;
  GMutex lock;
  GHashTable *calls; /* set of GCancellable, of the calls under way */
  gboolean stopped;
};

/* Where one hop of a call goes. A redirect makes a new one, with nothing of the old but the URL. */
typedef struct {
  const char *method;
  GUri *uri;
  char *host; /* to connect to */
  int port;
  char *tls_name;
  char *host_header;
  char *pool;
  const char *authorization;
  GBytes *body;
} Hop;

static void
hop_clear (Hop *hop)
{
  g_clear_pointer (&hop->uri, g_uri_unref);
  g_free (hop->host);
  g_free (hop->tls_name);
  g_free (hop->host_header);
  g_free (hop->pool);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Hop, hop_clear)

/* One message whatever the reason: it must not tell a closed port from a refused address (ssrf-*,
 * CVE-2021-21273). */
static gboolean
fail_unreachable (const char *host, const char *reason, GError **error)
{
  g_info ("outbound: %s: %s", host, reason);
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server could not be reached");
  return FALSE;
}

static char *
authority_of (GUri *uri)
{
  const char *host = g_uri_get_host (uri);
  gboolean brackets = strchr (host, ':') != NULL;
  g_autofree char *name = g_strdup_printf (brackets ? "[%s]" : "%s", host);
  int port = g_uri_get_port (uri);
  gboolean https = g_str_equal (g_uri_get_scheme (uri), "https");

  if (port == -1 || port == (https ? 443 : 80))
    return g_steal_pointer (&name);
  return g_strdup_printf ("%s:%d", name, port);
}

static gboolean
is_usable (GUri *uri)
{
  const char *host = g_uri_get_host (uri);
  gboolean http =
      g_str_equal (g_uri_get_scheme (uri), "https") || g_str_equal (g_uri_get_scheme (uri), "http");

  return http && host != NULL && *host != '\0' && g_uri_get_userinfo (uri) == NULL;
}

static void
hop_aim (Hop *hop, const char *connect_host, int connect_port, const char *tls_name,
         const char *host_header)
{
  gboolean https = g_str_equal (g_uri_get_scheme (hop->uri), "https");

  hop->host = g_strdup (connect_host ? connect_host : g_uri_get_host (hop->uri));
  hop->port = connect_port > 0 ? connect_port : g_uri_get_port (hop->uri);
  if (hop->port <= 0)
    hop->port = https ? 443 : 80;
  hop->tls_name = g_strdup (tls_name ? tls_name : g_uri_get_host (hop->uri));
  hop->host_header = host_header ? g_strdup (host_header) : authority_of (hop->uri);
  hop->pool = g_strdup_printf ("%s %s %d %s", https ? "https" : "http", hop->host, hop->port,
                               hop->tls_name);
}

static gboolean
hop_init (Hop *hop, const CmOutboundRequest *request, GError **error)
{
  g_autoptr (GError) failure = NULL;

  hop->uri = g_uri_parse (request->url, SOUP_HTTP_URI_FLAGS, &failure);
  if (hop->uri == NULL || !is_usable (hop->uri))
    return fail_unreachable (request->url, "no URL to be asked", error);
  hop->method = request->method;
  hop->authorization = request->authorization;
  hop->body = request->body;
  hop_aim (hop, request->connect_host, request->connect_port, request->tls_name,
           request->host_header);
  return TRUE;
}

/* The hop that @answer points to; FALSE when there is none to be followed, and @answer is the
 * answer. */
static gboolean
hop_follow (Hop *next, const Hop *hop, const CmOutboundAnswer *answer)
{
  static const unsigned redirects[] = { 301, 302, 303, 307, 308 };
  gboolean is_redirect = FALSE;
  g_autoptr (GUri) uri = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (redirects); i++)
    is_redirect |= answer->status == redirects[i];
  if (!is_redirect || answer->location == NULL || !g_str_equal (hop->method, "GET"))
    return FALSE;
  uri = g_uri_parse_relative (hop->uri, answer->location, SOUP_HTTP_URI_FLAGS, NULL);
  if (uri == NULL || !is_usable (uri))
    return FALSE;
  if (g_str_equal (g_uri_get_scheme (hop->uri), "https") &&
      !g_str_equal (g_uri_get_scheme (uri), "https"))
    return FALSE;
  next->method = hop->method;
  next->uri = g_steal_pointer (&uri);
  hop_aim (next, NULL, 0, NULL, NULL);
  return TRUE;
}

static CmOutboundAnswer *
ask_address (CmOutbound *outbound, const CmOutboundRequest *request, const Hop *hop,
             const char *address, GCancellable *cancellable, gboolean *connected, GError **error)
{
  g_autoptr (GUri) uri =
      g_uri_build (SOUP_HTTP_URI_FLAGS, g_uri_get_scheme (hop->uri), NULL, address, hop->port,
                   g_uri_get_path (hop->uri), g_uri_get_query (hop->uri), NULL);
  const CmExchange exchange = {
    .pool = hop->pool,
    .uri = uri,
    .tls_name = hop->tls_name,
    .host_header = hop->host_header,
    .method = hop->method,
    .authorization = hop->authorization,
    .body = hop->body,
    .content_type = request->content_type,
    .repeatable = request->repeatable,
    .max_bytes = request->max_bytes ? request->max_bytes : DEFAULT_MAX_BYTES,
    .connect_ms = CONNECT_MS,
  };

  return cm_outbound_loop_run (outbound->loop, &exchange, cancellable, connected, error);
}

/* Tries the addresses in turn until a connection stands: what was once sent is not sent again. */
static CmOutboundAnswer *
ask_host (CmOutbound *outbound, const CmOutboundRequest *request, const Hop *hop,
          GCancellable *cancellable, GError **error)
{
  g_auto (GStrv) addresses = cm_names_find (outbound->names, hop->host, cancellable, error);

  for (gsize i = 0; addresses != NULL && addresses[i] != NULL && i < MAX_ADDRESSES; i++) {
    gboolean last = addresses[i + 1] == NULL || i + 1 == MAX_ADDRESSES;
    gboolean connected = FALSE;
    g_autoptr (GError) failure = NULL;
    CmOutboundAnswer *answer =
        ask_address (outbound, request, hop, addresses[i], cancellable, &connected, &failure);

    if (answer != NULL) {
      cm_names_prefer (outbound->names, hop->host, addresses[i]);
      return answer;
    }
    if (failure->domain == CM_ERROR) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
    if (connected || last || g_cancellable_is_cancelled (cancellable)) {
      fail_unreachable (hop->host, failure->message, error);
      return NULL;
    }
  }
  return NULL;
}

static CmOutboundAnswer *
ask (CmOutbound *outbound, const CmOutboundRequest *request, GCancellable *cancellable,
     GError **error)
{
  g_auto (Hop) hop = { 0 };

  if (!hop_init (&hop, request, error))
    return NULL;
  for (guint hops = 0;; hops++) {
    g_autoptr (CmOutboundAnswer) answer = ask_host (outbound, request, &hop, cancellable, error);
    Hop next = { 0 };

    if (answer == NULL)
      return NULL;
    if (hops == request->max_redirects || !hop_follow (&next, &hop, answer))
      return g_steal_pointer (&answer);
    hop_clear (&hop);
    hop = next;
  }
}

static gboolean
enter (CmOutbound *outbound, GCancellable *cancellable)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&outbound->lock);

  if (outbound->stopped)
    return FALSE;
  g_hash_table_add (outbound->calls, cancellable);
  return TRUE;
}

/* TRUE when the node was not stopped meanwhile. */
static gboolean
leave (CmOutbound *outbound, GCancellable *cancellable)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&outbound->lock);

  g_hash_table_remove (outbound->calls, cancellable);
  return !outbound->stopped;
}

CmOutboundAnswer *
cm_outbound_call (CmOutbound *outbound, const CmOutboundRequest *request, GError **error)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) failure = NULL;
  g_autoptr (GSource) deadline = NULL;
  CmOutboundAnswer *answer;

  if (!enter (outbound, cancellable)) {
    g_set_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The server is shutting down");
    return NULL;
  }
  deadline = cm_outbound_loop_cancel_after (
      outbound->loop, cancellable, request->timeout_ms ? request->timeout_ms : DEFAULT_TIMEOUT_MS);
  answer = ask (outbound, request, cancellable, &failure);
  g_source_destroy (deadline);
  if (!leave (outbound, cancellable) && answer == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The server is shutting down");
  else if (answer == NULL && g_cancellable_is_cancelled (cancellable) &&
           !g_error_matches (failure, CM_ERROR, CM_ERROR_TOO_LARGE))
    g_set_error (error, CM_ERROR, CM_ERROR_GATEWAY_TIMEOUT, "The server did not answer in time");
  else if (answer == NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  return answer;
}

void
cm_outbound_answer_free (CmOutboundAnswer *answer)
{
  g_clear_pointer (&answer->body, g_bytes_unref);
  g_free (answer->content_type);
  g_free (answer->content_disposition);
  g_free (answer->location);
  g_free (answer);
}

static gboolean
make_database (const CmOutboundPolicy *policy, GTlsDatabase **database, GError **error)
{
  g_autoptr (GError) failure = NULL;

  if (policy->ca_file == NULL)
    return TRUE;
  *database = g_tls_file_database_new (policy->ca_file, &failure);
  if (*database == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "The authorities of '%s' cannot be read: %s",
                 policy->ca_file, failure->message);
  return *database != NULL;
}

CmOutbound *
cm_outbound_new (const CmOutboundPolicy *policy, GError **error)
{
  g_autoptr (GTlsDatabase) database = NULL;
  g_autoptr (CmAddressFilter) filter = cm_address_filter_new (policy->allow, error);
  CmOutbound *outbound;

  if (filter == NULL || !make_database (policy, &database, error))
    return NULL;
  outbound = g_new0 (CmOutbound, 1);
  outbound->resolver =
      policy->resolver ? g_object_ref (policy->resolver) : g_resolver_get_default ();
  outbound->names = cm_names_new (outbound->resolver, g_steal_pointer (&filter));
  outbound->loop = cm_outbound_loop_new (policy->verify_tls, database);
  outbound->calls = g_hash_table_new (NULL, NULL);
  g_mutex_init (&outbound->lock);
  return outbound;
}

void
cm_outbound_stop (CmOutbound *outbound)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&outbound->lock);
  GHashTableIter iter;
  gpointer cancellable;

  outbound->stopped = TRUE;
  g_hash_table_iter_init (&iter, outbound->calls);
  while (g_hash_table_iter_next (&iter, &cancellable, NULL))
    g_cancellable_cancel (cancellable);
}

void
cm_outbound_free (CmOutbound *outbound)
{
  cm_outbound_loop_free (outbound->loop);
  cm_names_free (outbound->names);
  g_hash_table_unref (outbound->calls);
  g_object_unref (outbound->resolver);
  g_mutex_clear (&outbound->lock);
  g_free (outbound);
}

gboolean
cm_outbound_allows (CmOutbound *outbound, const char *address)
{
  return cm_names_allows (outbound->names, address);
}

GList *
cm_outbound_find_service (CmOutbound *outbound, const char *service, const char *host)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GSource) deadline = NULL;
  GList *targets;

  if (!enter (outbound, cancellable))
    return NULL;
  deadline = cm_outbound_loop_cancel_after (outbound->loop, cancellable, SERVICE_MS);
  targets = g_resolver_lookup_service (outbound->resolver, service, "tcp", host, cancellable, NULL);
  g_source_destroy (deadline);
  leave (outbound, cancellable);
  return targets;
}
