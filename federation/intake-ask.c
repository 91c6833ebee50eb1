/* Questions to other servers about a room's graph. What they answer is verified like anything else;
 * how much they can make this node ask and read is bounded. */
#include "federation/intake-private.h"

#include "crypto/id.h"

#include <string.h>

#define TIMEOUT_MS     20000
#define MAX_EVENTS_LEN (16 * 1024 * 1024)
#define MAX_STATE_LEN  (128 * 1024 * 1024)

/* More ids than this no answer may hold. */
#define MAX_IDS 200000

/* Per server and minute. */
#define BUDGET        300
#define BUDGET_PERIOD (60 * G_USEC_PER_SEC)
#define MAX_BUDGETS   10000

typedef struct {
  gint64 since; /* monotonic */
  guint spent;
} Budget;

gboolean
cm_intake_spend (CmIntake *intake, const char *server, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&intake->mutex);
  gint64 now = g_get_monotonic_time ();

  if (g_hash_table_size (intake->budgets) >= MAX_BUDGETS)
    g_hash_table_remove_all (intake->budgets);
  Budget *budget = g_hash_table_lookup (intake->budgets, server);
  if (budget == NULL) {
    budget = g_new0 (Budget, 1);
    g_hash_table_insert (intake->budgets, g_strdup (server), budget);
  }
  if (now - budget->since > BUDGET_PERIOD || budget->since == 0)
    *budget = (Budget){ now, 0 };
  if (budget->spent++ < BUDGET)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_LIMIT_EXCEEDED, "%s makes this server ask too much",
               server);
  return FALSE;
}

static CmJsonDoc *
ask_for (const CmAsk *ask, const char *method, const char *target, const CmJson *content,
         gsize max_bytes, GError **error)
{
  gint64 left = (ask->deadline - g_get_monotonic_time ()) / 1000;
  const CmFedRequest request = {
    .method = method,
    .target = target,
    .content = content,
    .max_bytes = max_bytes,
    .timeout_ms = (guint) CLAMP (left, 1, TIMEOUT_MS),
  };

  if (left <= 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_GATEWAY_TIMEOUT, "That took too long");
    return NULL;
  }
  if (!cm_intake_spend (ask->intake, ask->server, error))
    return NULL;
  return cm_fed_call (ask->intake->parts.client, ask->server, &request, NULL, error);
}

static void
collect (GPtrArray *pdus, const CmJson *list, gsize limit)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, list);
  while (pdus->len < limit && cm_json_iter_next (&iter, NULL, &item))
    g_ptr_array_add (pdus, (gpointer) item);
}

/* (transfer full) the verified events of two lists of an answer; @second nullable. */
static GPtrArray *
read_events (const CmAsk *ask, const CmJson *answer, const char *first, const char *second,
             gsize limit)
{
  g_autoptr (GPtrArray) pdus = g_ptr_array_new ();

  collect (pdus, cm_json_get_array (answer, first), limit);
  if (second != NULL)
    collect (pdus, cm_json_get_array (answer, second), limit);
  GPtrArray *events = cm_intake_verify_all (ask->intake, ask->version, ask->room_id,
                                            (const CmJson *const *) pdus->pdata, pdus->len);
  while (g_ptr_array_remove (events, NULL))
    continue;
  return events;
}

static void
put_ids (CmJsonWriter *writer, const char *key, const char *const *ids)
{
  cm_json_open_array (writer, key);
  for (gsize i = 0; ids[i] != NULL; i++)
    cm_json_put_text (writer, NULL, ids[i]);
  cm_json_close (writer);
}

GPtrArray *
cm_ask_missing (const CmAsk *ask, const char *const *earliest, const char *const *latest,
                guint limit, GError **error)
{
  g_autofree char *target =
      cm_fed_path ("/_matrix/federation/v1/get_missing_events/%s", ask->room_id);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  put_ids (writer, "earliest_events", earliest);
  put_ids (writer, "latest_events", latest);
  cm_json_put_integer (writer, "limit", limit);
  cm_json_put_integer (writer, "min_depth", 0);
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) content = cm_json_writer_end_doc (writer);
  g_autoptr (CmJsonDoc) answer =
      ask_for (ask, "POST", target, cm_json_doc_root (content), MAX_EVENTS_LEN, error);
  return answer != NULL ? read_events (ask, cm_json_doc_root (answer), "events", NULL, limit)
                        : NULL;
}

GPtrArray *
cm_ask_backfill (const CmAsk *ask, const char *const *from, guint limit, GError **error)
{
  g_autofree char *path = cm_fed_path ("/_matrix/federation/v1/backfill/%s", ask->room_id);
  g_autoptr (GString) target = g_string_new (path);

  g_string_append_printf (target, "?limit=%u", limit);
  for (gsize i = 0; from[i] != NULL; i++) {
    g_string_append (target, "&v=");
    g_string_append_uri_escaped (target, from[i], NULL, FALSE);
  }
  g_autoptr (CmJsonDoc) answer = ask_for (ask, "GET", target->str, NULL, MAX_EVENTS_LEN, error);
  return answer != NULL ? read_events (ask, cm_json_doc_root (answer), "pdus", NULL, limit) : NULL;
}

/* (transfer full) a path with the event as its query parameter. */
static char *
path_at (const CmAsk *ask, const char *what, const char *event_id)
{
  g_autofree char *room = cm_fed_path ("%s", ask->room_id);
  g_autofree char *event = cm_fed_path ("%s", event_id);

  return g_strdup_printf ("/_matrix/federation/v1/%s/%s?event_id=%s", what, room, event);
}

static GPtrArray *
read_ids (const CmJson *list)
{
  GPtrArray *ids = g_ptr_array_new_with_free_func (g_free);
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, list);
  while (ids->len < MAX_IDS && cm_json_iter_next (&iter, NULL, &item)) {
    if (cm_id_is_event (cm_json_text (item)))
      g_ptr_array_add (ids, g_strdup (cm_json_text (item)));
  }
  return ids;
}

gboolean
cm_ask_state_ids (const CmAsk *ask, const char *event_id, GPtrArray **state, GPtrArray **auth_chain,
                  GError **error)
{
  g_autofree char *target = path_at (ask, "state_ids", event_id);
  g_autoptr (CmJsonDoc) answer = ask_for (ask, "GET", target, NULL, MAX_EVENTS_LEN, error);

  if (answer == NULL)
    return FALSE;
  *state = read_ids (cm_json_get_array (cm_json_doc_root (answer), "pdu_ids"));
  *auth_chain = read_ids (cm_json_get_array (cm_json_doc_root (answer), "auth_chain_ids"));
  return TRUE;
}

GPtrArray *
cm_ask_state (const CmAsk *ask, const char *event_id, GError **error)
{
  g_autofree char *target = path_at (ask, "state", event_id);
  g_autoptr (CmJsonDoc) answer = ask_for (ask, "GET", target, NULL, MAX_STATE_LEN, error);

  return answer != NULL
             ? read_events (ask, cm_json_doc_root (answer), "pdus", "auth_chain", MAX_IDS)
             : NULL;
}

GPtrArray *
cm_ask_auth_chain (const CmAsk *ask, const char *event_id, GError **error)
{
  g_autofree char *target =
      cm_fed_path ("/_matrix/federation/v1/event_auth/%s/%s", ask->room_id, event_id);
  g_autoptr (CmJsonDoc) answer = ask_for (ask, "GET", target, NULL, MAX_STATE_LEN, error);

  return answer != NULL ? read_events (ask, cm_json_doc_root (answer), "auth_chain", NULL, MAX_IDS)
                        : NULL;
}

CmEvent *
cm_ask_event (const CmAsk *ask, const char *event_id, GError **error)
{
  g_autofree char *target = cm_fed_path ("/_matrix/federation/v1/event/%s", event_id);
  g_autoptr (CmJsonDoc) answer = ask_for (ask, "GET", target, NULL, 0, error);

  if (answer == NULL)
    return NULL;
  g_autoptr (GPtrArray) events = read_events (ask, cm_json_doc_root (answer), "pdus", NULL, 1);
  const CmEvent *event = events->len == 1 ? events->pdata[0] : NULL;
  if (event != NULL && strcmp (event->event_id, event_id) == 0)
    return cm_event_ref (events->pdata[0]);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server gave another event");
  return NULL;
}
