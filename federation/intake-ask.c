/* Questions to other servers about a room's graph. What they answer is verified like anything else;
 * how much they can make this node ask and read is bounded. */
#include "federation/intake-private.h"

#include "crypto/id.h"

#include <string.h>

#define TIMEOUT_MS     20000
#define MAX_EVENTS_LEN (16 * 1024 * 1024)

/* A room's state: of some three thousand members as it comes, of some fifty thousand, as in a join,
 * in turn. Read as JSON it takes up to SWELLING times its length. */
#define MAX_STATE_LEN       (4 * 1024 * 1024)
#define MAX_LARGE_STATE_LEN ((gsize) 64 * 1024 * 1024)
#define SWELLING            4

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

void
cm_large_turn_end (CmLargeTurn *turn)
{
  if (turn->intake == NULL)
    return;
  g_mutex_lock (&turn->intake->mutex);
  turn->intake->reads_much = FALSE;
  g_cond_signal (&turn->intake->read);
  g_mutex_unlock (&turn->intake->mutex);
  turn->intake = NULL;
}

static gboolean
begin_turn (const CmAsk *ask, GError **error)
{
  CmIntake *intake = ask->intake;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&intake->mutex);

  if (ask->turn->intake != NULL)
    return TRUE;
  while (intake->reads_much)
    if (!g_cond_wait_until (&intake->read, &intake->mutex, ask->deadline))
      return cm_fail (error, CM_ERROR_UNAVAILABLE, "Other large answers are being read");
  intake->reads_much = TRUE;
  *ask->turn = (CmLargeTurn){ intake, SWELLING * MAX_LARGE_STATE_LEN };
  return TRUE;
}

/* Most rooms are small. Where the answer is not, who asks waits for the turn and asks again, so
 * that no more than one such is received, read and kept at a time (class fed-body-memory). */
static CmJsonDoc *
ask_for_state (const CmAsk *ask, const char *target, GError **error)
{
  g_autoptr (GError) failure = NULL;
  CmJsonDoc *answer = ask_for (ask, "GET", target, NULL, MAX_STATE_LEN, &failure);

  if (answer != NULL)
    return answer;
  if (!g_error_matches (failure, CM_ERROR, CM_ERROR_TOO_LARGE)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (!begin_turn (ask, error))
    return NULL;
  answer = ask_for (ask, "GET", target, NULL, MAX (ask->turn->left / SWELLING, 1), error);
  ask->turn->left -= MIN (ask->turn->left, cm_json_doc_size (answer));
  return answer;
}

/* (transfer full) the events of @pdus that are well-formed and of the room. */
static GPtrArray *
parse_events (const CmAsk *ask, GPtrArray *pdus)
{
  GPtrArray *events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);

  for (guint i = 0; i < pdus->len; i++) {
    g_autoptr (GError) failure = NULL;
    CmEvent *event = cm_event_parse_of_room (ask->version, ask->room_id, pdus->pdata[i], &failure);
    if (event != NULL)
      g_ptr_array_add (events, event);
    else
      g_debug ("Event refused: %s", failure->message);
  }
  return events;
}

/* Closes up over what was not proven, which may be most of it. */
static void
keep_proven (GPtrArray *events)
{
  guint kept = 0;

  for (guint i = 0; i < events->len; i++) {
    gpointer event = g_steal_pointer (&events->pdata[i]);
    if (event != NULL)
      events->pdata[kept++] = event;
  }
  g_ptr_array_set_size (events, (gint) kept);
}

/* (transfer full) the verified events of two lists of @answer, which is taken and may be NULL;
 * @second nullable. */
static GPtrArray *
read_events (const CmAsk *ask, CmJsonDoc *answer, const char *first, const char *second,
             gsize limit)
{
  g_autoptr (CmJsonDoc) doc = answer;
  const CmJson *root = cm_json_doc_root (doc);
  g_autoptr (GPtrArray) pdus = g_ptr_array_new ();

  if (doc == NULL)
    return NULL;
  collect (pdus, cm_json_get_array (root, first), limit);
  if (second != NULL)
    collect (pdus, cm_json_get_array (root, second), limit);
  GPtrArray *events = parse_events (ask, pdus);
  /* Their keys may be waited for. */
  g_clear_pointer (&doc, cm_json_doc_unref);
  cm_intake_prove_all (ask->intake, events, NULL);
  keep_proven (events);
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
  CmJsonDoc *answer =
      ask_for (ask, "POST", target, cm_json_doc_root (content), MAX_EVENTS_LEN, error);
  return read_events (ask, answer, "events", NULL, limit);
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
  CmJsonDoc *answer = ask_for (ask, "GET", target->str, NULL, MAX_EVENTS_LEN, error);
  return read_events (ask, answer, "pdus", NULL, limit);
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

  return read_events (ask, ask_for_state (ask, target, error), "pdus", "auth_chain", MAX_IDS);
}

GPtrArray *
cm_ask_auth_chain (const CmAsk *ask, const char *event_id, GError **error)
{
  g_autofree char *target =
      cm_fed_path ("/_matrix/federation/v1/event_auth/%s/%s", ask->room_id, event_id);

  return read_events (ask, ask_for_state (ask, target, error), "auth_chain", NULL, MAX_IDS);
}

CmEvent *
cm_ask_event (const CmAsk *ask, const char *event_id, GError **error)
{
  g_autofree char *target = cm_fed_path ("/_matrix/federation/v1/event/%s", event_id);
  g_autoptr (GPtrArray) events =
      read_events (ask, ask_for (ask, "GET", target, NULL, 0, error), "pdus", NULL, 1);

  if (events == NULL)
    return NULL;
  const CmEvent *event = events->len == 1 ? events->pdata[0] : NULL;
  if (event != NULL && strcmp (event->event_id, event_id) == 0)
    return cm_event_ref (events->pdata[0]);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server gave another event");
  return NULL;
}
