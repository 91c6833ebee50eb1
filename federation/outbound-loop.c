#include "federation/outbound-loop.h"

#include "federation/outbound-pool.h"
#include "federation/outbound-types.h"

#include <libsoup/soup.h>

#define READ_SIZE     (64 * 1024)
#define SWEEP_SECONDS 60

struct _CmOutboundLoop {
  GMainContext *context;
  GMainLoop *loop;
  GThread *thread;
  gboolean verify_tls;
  CmOutboundPools *pools; /* the loop's thread only */
};

/* One exchange under way. The caller's thread owns it and waits on it; all else happens on the
 * loop's thread. */
typedef struct {
  CmOutboundLoop *loop;
  const CmExchange *exchange;
  GCancellable *cancellable; /* of this attempt, chained to the caller's */
  gboolean connected;
  GSource *connect_timer;
  CmOutboundPool *pool;
  SoupMessage *message;
  GInputStream *stream;
  GByteArray *body;
  CmOutboundAnswer *answer;
  GError *error;

  GMutex lock;
  GCond cond;
  gboolean done;
} Run;

static gboolean
sweep (gpointer data)
{
  CmOutboundLoop *loop = data;

  cm_outbound_pools_sweep (loop->pools);
  return G_SOURCE_CONTINUE;
}

static void
stop_connect_timer (Run *run)
{
  if (run->connect_timer == NULL)
    return;
  g_source_destroy (run->connect_timer);
  g_clear_pointer (&run->connect_timer, g_source_unref);
}

static void
finish (Run *run)
{
  stop_connect_timer (run);
  cm_outbound_pool_leave (run->pool);
  g_clear_object (&run->stream);
  g_signal_handlers_disconnect_by_data (run->message, run);
  g_clear_object (&run->message);

  /* The caller frees @run as soon as it sees done: nothing may be touched after the unlock. */
  g_mutex_lock (&run->lock);
  run->done = TRUE;
  g_cond_signal (&run->cond);
  g_mutex_unlock (&run->lock);
}

static void
closed (GObject *stream, GAsyncResult *result, gpointer data)
{
  g_input_stream_close_finish (G_INPUT_STREAM (stream), result, NULL);
  finish (data);
}

/* libsoup would read an answer that nobody wants to its end; a cancelled request closes the
 * connection instead. */
static void
give_up (Run *run, GError *error)
{
  run->error = error;
  g_cancellable_cancel (run->cancellable);
  g_input_stream_close_async (run->stream, G_PRIORITY_DEFAULT, run->cancellable, closed, run);
}

/* Cache-Control (RFC 9111, 5.2.2), in seconds; -1 when it says nothing. */
static gint64
cache_seconds (SoupMessageHeaders *headers)
{
  const char *text = soup_message_headers_get_list (headers, "Cache-Control");
  g_autoptr (GHashTable) parameters = NULL;
  const char *age;
  guint64 seconds;

  if (text == NULL)
    return -1;
  parameters = soup_header_parse_param_list (text);
  if (g_hash_table_contains (parameters, "no-store") ||
      g_hash_table_contains (parameters, "no-cache"))
    return 0;
  age = g_hash_table_lookup (parameters, "max-age");
  if (age == NULL || !g_ascii_string_to_unsigned (age, 10, 0, G_MAXINT32, &seconds, NULL))
    return -1;
  return (gint64) seconds;
}

static void
make_answer (Run *run)
{
  SoupMessageHeaders *headers = soup_message_get_response_headers (run->message);
  CmOutboundAnswer *answer = g_new0 (CmOutboundAnswer, 1);

  answer->status = soup_message_get_status (run->message);
  answer->content_type = g_strdup (soup_message_headers_get_one (headers, "Content-Type"));
  answer->content_disposition =
      g_strdup (soup_message_headers_get_one (headers, "Content-Disposition"));
  answer->location = g_strdup (soup_message_headers_get_one (headers, "Location"));
  answer->max_age_s = cache_seconds (headers);
  answer->body = g_byte_array_free_to_bytes (g_steal_pointer (&run->body));
  run->answer = answer;
}

static void read_more (Run *run);

static void
have_read (GObject *stream, GAsyncResult *result, gpointer data)
{
  Run *run = data;
  GError *error = NULL;
  g_autoptr (GBytes) chunk = g_input_stream_read_bytes_finish (run->stream, result, &error);

  if (chunk == NULL) {
    give_up (run, error);
    return;
  }
  if (g_bytes_get_size (chunk) == 0) {
    make_answer (run);
    g_input_stream_close_async (run->stream, G_PRIORITY_DEFAULT, NULL, closed, run);
    return;
  }
  if (g_bytes_get_size (chunk) > run->exchange->max_bytes - run->body->len) {
    give_up (run, g_error_new (CM_ERROR, CM_ERROR_TOO_LARGE, "The server's answer is too large"));
    return;
  }
  g_byte_array_append (run->body, g_bytes_get_data (chunk, NULL), g_bytes_get_size (chunk));
  read_more (run);
}

/* The stream gives decoded bytes, at most so many at a time: a body that swells costs no more
 * memory than the cap. */
static void
read_more (Run *run)
{
  g_input_stream_read_bytes_async (run->stream, READ_SIZE, G_PRIORITY_DEFAULT, run->cancellable,
                                   have_read, run);
}

static void
sent (GObject *session, GAsyncResult *result, gpointer data)
{
  Run *run = data;

  run->stream = soup_session_send_finish (SOUP_SESSION (session), result, &run->error);
  if (run->stream == NULL) {
    finish (run);
    return;
  }
  run->body = g_byte_array_new ();
  read_more (run);
}

static gboolean
not_connected (gpointer data)
{
  Run *run = data;

  g_cancellable_cancel (run->cancellable);
  return G_SOURCE_REMOVE;
}

static void
start_connect_timer (Run *run)
{
  if (run->connect_timer != NULL)
    return;
  run->connect_timer = g_timeout_source_new (run->exchange->connect_ms);
  g_source_set_callback (run->connect_timer, not_connected, run, NULL);
  g_source_attach (run->connect_timer, run->loop->context);
}

/* The request goes out, over a new connection or a kept one. */
static void
on_starting (SoupMessage *message, gpointer data)
{
  Run *run = data;

  run->connected = TRUE;
  stop_connect_timer (run);
}

/* The address in the URI says where to connect; whom to expect there is set on each new TLS
 * connection before its handshake. Should this ever not be called, the certificate is checked
 * against the bare address and the handshake fails. */
static void
on_network_event (SoupMessage *message, GSocketClientEvent event, GIOStream *stream, gpointer data)
{
  static const char *const protocols[] = { "http/1.1", NULL };
  Run *run = data;

  if (!run->connected)
    start_connect_timer (run);
  if (event == G_SOCKET_CLIENT_TLS_HANDSHAKING) {
    g_autoptr (GSocketConnectable) identity =
        g_network_address_new (run->exchange->tls_name, g_uri_get_port (run->exchange->uri));

    g_tls_client_connection_set_server_identity (G_TLS_CLIENT_CONNECTION (stream), identity);
    g_tls_connection_set_advertised_protocols (G_TLS_CONNECTION (stream), protocols);
  }
}

static gboolean
accept_any (SoupMessage *message, GTlsCertificate *certificate, GTlsCertificateFlags errors,
            gpointer data)
{
  return TRUE;
}

static gboolean
is_idempotent (const char *method)
{
  return g_str_equal (method, "GET") || g_str_equal (method, "HEAD") ||
         g_str_equal (method, "PUT") || g_str_equal (method, "DELETE");
}

static SoupMessage *
make_message (Run *run)
{
  const CmExchange *exchange = run->exchange;
  SoupMessage *message = soup_message_new_from_uri (exchange->method, exchange->uri);
  SoupMessageHeaders *headers = soup_message_get_request_headers (message);

  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT);
  /* Lets libsoup use a kept connection, and try once more when that turns out to be closed. */
  if (exchange->repeatable || is_idempotent (exchange->method))
    soup_message_add_flags (message, SOUP_MESSAGE_IDEMPOTENT);
  soup_message_headers_replace (headers, "Host", exchange->host_header);
  if (exchange->authorization != NULL)
    soup_message_headers_replace (headers, "Authorization", exchange->authorization);
  if (exchange->body != NULL)
    soup_message_set_request_body_from_bytes (
        message, exchange->content_type ? exchange->content_type : "application/json",
        exchange->body);
  g_signal_connect (message, "starting", G_CALLBACK (on_starting), run);
  g_signal_connect (message, "network-event", G_CALLBACK (on_network_event), run);
  if (!run->loop->verify_tls)
    g_signal_connect (message, "accept-certificate", G_CALLBACK (accept_any), NULL);
  return message;
}

static gboolean
begin (gpointer data)
{
  Run *run = data;

  run->message = make_message (run);
  run->pool = cm_outbound_pools_enter (run->loop->pools, run->exchange->pool);
  soup_session_send_async (cm_outbound_pool_session (run->pool), run->message, G_PRIORITY_DEFAULT,
                           run->cancellable, sent, run);
  return G_SOURCE_REMOVE;
}

static gboolean
cancel (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return G_SOURCE_REMOVE;
}

static GSource *
cancel_after (CmOutboundLoop *loop, GCancellable *cancellable, guint ms)
{
  GSource *source = g_timeout_source_new (ms);

  g_source_set_callback (source, cancel, g_object_ref (cancellable), g_object_unref);
  g_source_attach (source, loop->context);
  return source;
}

/* Comes from any thread; libsoup hears of it on its own. */
static void
chain_cancel (GCancellable *from, gpointer data)
{
  Run *run = data;

  g_source_unref (cancel_after (run->loop, run->cancellable, 0));
}

/* Not g_main_context_invoke, which may run @func on this thread while the loop is not yet running.
 */
static void
run_on_loop (CmOutboundLoop *loop, GSourceFunc func, gpointer data)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, loop->context);
}

CmOutboundAnswer *
cm_outbound_loop_run (CmOutboundLoop *loop, const CmExchange *exchange, GCancellable *cancellable,
                      gboolean *connected, GError **error)
{
  g_autoptr (GCancellable) own = g_cancellable_new ();
  Run run = { .loop = loop, .exchange = exchange, .cancellable = own };
  gulong chained = g_cancellable_connect (cancellable, G_CALLBACK (chain_cancel), &run, NULL);

  g_mutex_init (&run.lock);
  g_cond_init (&run.cond);
  run_on_loop (loop, begin, &run);
  g_mutex_lock (&run.lock);
  while (!run.done)
    g_cond_wait (&run.cond, &run.lock);
  g_mutex_unlock (&run.lock);
  g_mutex_clear (&run.lock);
  g_cond_clear (&run.cond);

  g_cancellable_disconnect (cancellable, chained);
  g_clear_pointer (&run.body, g_byte_array_unref);
  if (connected != NULL)
    *connected = run.connected;
  if (run.error != NULL)
    g_propagate_error (error, run.error);
  return run.answer;
}

GSource *
cm_outbound_loop_cancel_after (CmOutboundLoop *loop, GCancellable *cancellable, guint ms)
{
  return cancel_after (loop, cancellable, ms);
}

static gpointer
loop_main (gpointer data)
{
  CmOutboundLoop *loop = data;
  g_autoptr (GSource) sweeper = g_timeout_source_new_seconds (SWEEP_SECONDS);

  g_main_context_push_thread_default (loop->context);
  g_source_set_callback (sweeper, sweep, loop, NULL);
  g_source_attach (sweeper, loop->context);
  g_main_loop_run (loop->loop);
  g_source_destroy (sweeper);
  cm_outbound_pools_free (loop->pools);
  while (g_main_context_iteration (loop->context, FALSE))
    ;
  g_main_context_pop_thread_default (loop->context);
  return NULL;
}

CmOutboundLoop *
cm_outbound_loop_new (gboolean verify_tls, GTlsDatabase *database)
{
  CmOutboundLoop *loop = g_new0 (CmOutboundLoop, 1);

  cm_outbound_register_types ();
  loop->context = g_main_context_new ();
  loop->loop = g_main_loop_new (loop->context, FALSE);
  loop->verify_tls = verify_tls;
  loop->pools = cm_outbound_pools_new (database);
  loop->thread = g_thread_new ("outbound", loop_main, loop);
  return loop;
}

static gboolean
quit (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

void
cm_outbound_loop_free (CmOutboundLoop *loop)
{
  /* From the loop itself: a quit that comes before the run would be lost. */
  run_on_loop (loop, quit, loop->loop);
  g_thread_join (loop->thread);
  g_main_loop_unref (loop->loop);
  g_main_context_unref (loop->context);
  g_free (loop);
}
