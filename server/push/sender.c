#include "server/push/sender.h"

#include "federation/outbound.h"
#include "schema/push.h"
#include "server/push/notification.h"
#include "server/router/flights.h"

#include <string.h>

#define READERS     2
#define MAX_WAITING 10000
#define TIMEOUT_MS  10000
/* A gateway that failed is tried again after a second, two, four, at most five minutes; a
 * notification is too old after ten. */
#define MAX_PAUSE_US (5 * 60 * G_TIME_SPAN_SECOND)
#define MAX_AGE_US   (10 * 60 * G_TIME_SPAN_SECOND)
#define MAX_GATEWAYS 10000

/* A gateway may take its time and never fail, and a user may have several such (class
 * push-starvation). */
static const CmFlightsSize posts_size = { .threads = 16,
                                          .threads_a_party = 4,
                                          .waiting_a_party = 5000 };

/* One notification for one user, or (@app_id, @pushkey) for one of his pushers: because it failed
 * there before, or because it is to be posted (@pusher). */
typedef struct {
  CmPushSender *sender;
  char *user_id;
  gint64 user;
  gint64 room;
  gint64 unread;
  CmEvent *event;
  GBytes *actions;
  GBytes *stripped;
  gint64 made; /* monotonic time */
  char *app_id;
  char *pushkey;
  GBytes *pusher;   /* JSON */
  gint64 elsewhere; /* unread in other rooms, when the pusher was read */
} Job;

/* A gateway that fails. */
typedef struct {
  guint failures;
  gint64 until; /* monotonic time */
} Gateway;

struct _CmPushSender {
  CmNode *node;
  GThreadPool *readers; /* find out whom a notification is for */
  CmFlights *posts;
  gint stopping;        /* atomic */
  GMutex mutex;         /* guards what follows */
  GQueue later;         /* of Job: to be tried again */
  GHashTable *gateways; /* URL -> Gateway */
};

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->user_id);
  g_clear_pointer (&job->event, cm_event_unref);
  g_clear_pointer (&job->actions, g_bytes_unref);
  g_clear_pointer (&job->stripped, g_bytes_unref);
  g_clear_pointer (&job->pusher, g_bytes_unref);
  g_free (job->app_id);
  g_free (job->pushkey);
  g_free (job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Job, job_free)

/* The same for one pusher. */
static Job *
job_copy (const Job *job, const char *app_id, const char *pushkey)
{
  Job *copy = g_memdup2 (job, sizeof *job);

  copy->user_id = g_strdup (job->user_id);
  copy->event = job->event != NULL ? cm_event_ref (job->event) : NULL;
  copy->actions = job->actions != NULL ? g_bytes_ref (job->actions) : NULL;
  copy->stripped = job->stripped != NULL ? g_bytes_ref (job->stripped) : NULL;
  copy->app_id = g_strdup (app_id);
  copy->pushkey = g_strdup (pushkey);
  copy->pusher = NULL;
  return copy;
}

gboolean
cm_push_url_is_valid (const char *url)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_NONE, NULL);

  return uri != NULL && strcmp (g_uri_get_scheme (uri), "https") == 0 &&
         g_uri_get_host (uri) != NULL && g_uri_get_host (uri)[0] != '\0' &&
         g_uri_get_userinfo (uri) == NULL && g_uri_get_query (uri) == NULL &&
         g_uri_get_fragment (uri) == NULL &&
         strcmp (g_uri_get_path (uri), "/_matrix/push/v1/notify") == 0;
}

/* TRUE when the gateway is to be left alone now. */
static gboolean
is_resting (CmPushSender *sender, const char *url)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&sender->mutex);
  const Gateway *gateway = g_hash_table_lookup (sender->gateways, url);

  return gateway != NULL && gateway->until > g_get_monotonic_time ();
}

static void
note_outcome (CmPushSender *sender, const char *url, gboolean good)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&sender->mutex);
  Gateway *gateway = g_hash_table_lookup (sender->gateways, url);

  if (good) {
    g_hash_table_remove (sender->gateways, url);
    return;
  }
  if (gateway == NULL) {
    if (g_hash_table_size (sender->gateways) >= MAX_GATEWAYS)
      g_hash_table_remove_all (sender->gateways);
    gateway = g_new0 (Gateway, 1);
    g_hash_table_insert (sender->gateways, g_strdup (url), gateway);
  }
  gint64 pause = G_TIME_SPAN_SECOND << MIN (gateway->failures, 9);
  gateway->failures++;
  gateway->until = g_get_monotonic_time () + MIN (pause, MAX_PAUSE_US);
}

/* Unless it is too old. */
static void
try_later (CmPushSender *sender, const Job *job)
{
  if (job->made + MAX_AGE_US < g_get_monotonic_time ())
    return;
  Job *copy = job_copy (job, job->app_id, job->pushkey);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&sender->mutex);
  g_queue_push_tail (&sender->later, copy);
  if (g_queue_get_length (&sender->later) > MAX_WAITING)
    job_free (g_queue_pop_head (&sender->later));
}

static gboolean
is_rejected (GBytes *body, const char *pushkey)
{
  g_autoptr (CmJsonDoc) doc = body != NULL ? cm_json_parse_bytes (body, NULL) : NULL;
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter,
                     doc != NULL ? cm_json_get_array (cm_json_doc_root (doc), "rejected") : NULL);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), pushkey) == 0)
      return TRUE;
  return FALSE;
}

/* "rejected": the gateway will never deliver to this key again. */
static void
remove_pusher (CmPushSender *sender, const Job *job)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmDb) db = cm_pool_get (sender->node->pool, &error);

  if (db == NULL || !cm_pusher_delete (db, job->user_id, job->app_id, job->pushkey, &error))
    g_warning ("A rejected pusher of %s stays: %s", job->user_id, error->message);
}

static void
post (CmPushSender *sender, const Job *job, const CmNotification *notification, const char *url)
{
  g_autoptr (GBytes) body = cm_notification_body (notification);
  g_autoptr (GError) error = NULL;
  CmOutboundRequest request = { .method = "POST",
                                .url = url,
                                .body = body,
                                .max_bytes = 64 * 1024,
                                .timeout_ms = TIMEOUT_MS,
                                .repeatable = TRUE };
  g_autoptr (CmOutboundAnswer) answer = cm_outbound_call (sender->node->outbound, &request, &error);
  gboolean good = answer != NULL && answer->status / 100 == 2;

  note_outcome (sender, url, good);
  if (!good) {
    g_info ("A push gateway failed: %s", error != NULL ? error->message : "its status is not 200");
    try_later (sender, job);
  } else if (is_rejected (answer->body, job->pushkey)) {
    remove_pusher (sender, job);
  }
}

static gboolean
notify_pusher (gpointer data, GError **error)
{
  const Job *job = data;
  CmPushSender *sender = job->sender;
  g_autoptr (CmJsonDoc) pusher = cm_json_parse_bytes (job->pusher, NULL);
  g_autoptr (CmJsonDoc) actions =
      job->actions != NULL ? cm_json_parse_bytes (job->actions, NULL) : NULL;
  g_autoptr (CmJsonDoc) stripped =
      job->stripped != NULL ? cm_json_parse_bytes (job->stripped, NULL) : NULL;
  g_autoptr (CmRoomView) view = job->event != NULL && stripped == NULL
                                    ? cm_rooms_view (sender->node->rooms, job->event->room_id, NULL)
                                    : NULL;
  const CmJson *content =
      pusher != NULL ? cm_json_get_object (cm_json_doc_root (pusher), "data") : NULL;
  const char *url = cm_json_get_text (content, "url");
  CmNotification notification = { .user_id = job->user_id,
                                  .app_id = job->app_id,
                                  .pushkey = job->pushkey,
                                  .data = content,
                                  .event = job->event,
                                  .actions = actions != NULL ? cm_json_doc_root (actions) : NULL,
                                  .view = view,
                                  .stripped = stripped != NULL ? cm_json_doc_root (stripped) : NULL,
                                  .unread = job->elsewhere + job->unread };

  if (url == NULL || g_atomic_int_get (&sender->stopping))
    return TRUE;
  if (is_resting (sender, url))
    try_later (sender, job);
  else
    post (sender, job, &notification, url);
  return TRUE;
}

static void
end_post (gpointer job, const GError *error)
{
  job_free (job);
}

/* (transfer full) the host and port of a pusher's gateway; NULL when it has none. */
static char *
gateway_of (GBytes *stored)
{
  g_autoptr (CmJsonDoc) pusher = cm_json_parse_bytes (stored, NULL);
  const CmJson *content =
      pusher != NULL ? cm_json_get_object (cm_json_doc_root (pusher), "data") : NULL;
  const char *url = cm_json_get_text (content, "url");
  g_autoptr (GUri) uri = url != NULL ? g_uri_parse (url, G_URI_FLAGS_NONE, NULL) : NULL;

  if (uri == NULL || g_uri_get_host (uri) == NULL)
    return NULL;
  g_autofree char *host = g_ascii_strdown (g_uri_get_host (uri), -1);
  return g_strdup_printf ("%s:%d", host, g_uri_get_port (uri) > 0 ? g_uri_get_port (uri) : 443);
}

static void
queue_post (CmPushSender *sender, const Job *job, const CmRows *pushers, gsize row,
            gint64 elsewhere)
{
  g_autoptr (Job) copy =
      job_copy (job, cm_rows_text (pushers, row, 0), cm_rows_text (pushers, row, 1));
  g_autofree char *key = g_strdup_printf ("%p", (void *) copy); /* nobody shares it */
  g_autofree char *gateway = NULL;

  copy->pusher = cm_rows_bytes (pushers, row, 2);
  copy->elsewhere = elsewhere;
  gateway = gateway_of (copy->pusher);
  if (gateway == NULL)
    return;
  if (cm_flights_board (sender->posts, key, gateway, job->user_id, copy))
    g_steal_pointer (&copy);
  else
    g_info ("Too much waits for the push gateway %s, or for %s: a notification is dropped", gateway,
            job->user_id);
}

static gboolean
is_meant (const Job *job, const CmRows *pushers, gsize row)
{
  return job->app_id == NULL || (strcmp (job->app_id, cm_rows_text (pushers, row, 0)) == 0 &&
                                 strcmp (job->pushkey, cm_rows_text (pushers, row, 1)) == 0);
}

static void
work (gpointer data, gpointer user_data)
{
  g_autoptr (Job) job = data;
  CmPushSender *sender = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRows) pushers = NULL;
  gint64 elsewhere = 0;

  if (g_atomic_int_get (&sender->stopping))
    return;
  {
    g_autoptr (CmDb) db = cm_pool_get (sender->node->pool, &error);
    if (db != NULL && cm_unread_elsewhere (db, job->user, job->room, &elsewhere, &error))
      pushers = cm_pushers_get (db, job->user_id, &error);
  }
  if (pushers == NULL) {
    g_warning ("%s is not notified: %s", job->user_id, error->message);
    return;
  }
  for (gsize row = 0; row < cm_rows_count (pushers); row++)
    if (is_meant (job, pushers, row))
      queue_post (sender, job, pushers, row, elsewhere);
}

CmPushSender *
cm_push_sender_new (CmNode *node)
{
  CmPushSender *sender = g_new0 (CmPushSender, 1);

  sender->node = node;
  g_mutex_init (&sender->mutex);
  sender->gateways = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  sender->posts = cm_flights_new (&posts_size, notify_pusher, end_post);
  sender->readers = g_thread_pool_new_full (work, sender, job_free, READERS, FALSE, NULL);
  return sender;
}

void
cm_push_sender_free (CmPushSender *sender)
{
  g_atomic_int_set (&sender->stopping, TRUE);
  g_thread_pool_free (sender->readers, TRUE, TRUE);
  cm_flights_free (sender->posts);
  g_queue_clear_full (&sender->later, job_free);
  g_hash_table_unref (sender->gateways);
  g_mutex_clear (&sender->mutex);
  g_free (sender);
}

void
cm_push_sender_tell (CmPushSender *sender, const CmPushNews *news)
{
  if (g_thread_pool_unprocessed (sender->readers) > MAX_WAITING) {
    g_info ("Too many notifications wait: one for %s is dropped", news->user_id);
    return;
  }
  Job *job = g_new0 (Job, 1);
  job->sender = sender;
  job->user_id = g_strdup (news->user_id);
  job->user = news->user;
  job->room = news->room;
  job->unread = news->unread;
  job->event = news->event != NULL ? cm_event_ref (news->event) : NULL;
  job->actions = news->actions != NULL ? g_bytes_ref (news->actions) : NULL;
  job->stripped = news->stripped != NULL ? g_bytes_ref (news->stripped) : NULL;
  job->made = g_get_monotonic_time ();
  g_thread_pool_push (sender->readers, job, NULL);
}

void
cm_push_sender_tick (CmPushSender *sender)
{
  GQueue due = G_QUEUE_INIT;
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&sender->mutex);
    due = sender->later;
    g_queue_init (&sender->later);
  }
  for (Job *job = g_queue_pop_head (&due); job != NULL; job = g_queue_pop_head (&due))
    g_thread_pool_push (sender->readers, job, NULL);
}
