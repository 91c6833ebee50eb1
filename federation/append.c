#include "federation/append.h"

#include "crypto/hash.h"
#include "crypto/id.h"
#include "federation/draft.h"
#include "federation/room-private.h"
#include "federation/transactions.h"
#include "schema/waiter.h"

#include <string.h>

/* How often an append is tried anew whose write, or one that it stood on, failed: a room in which
 * many repeat transactions that memory has forgotten fails as often. */
#define MAX_TRIES 64

/* After the database was out of reach, retries fail at once for this long (us): each would only
 * wait for it again. */
#define PAUSE_AFTER_FAILURE (2 * G_USEC_PER_SEC)

static const CmSql sql_transaction = {
  "transaction-add",
  "INSERT INTO client_transaction (user_id, device_id, scope, txn_id, event_id, event, ts) "
  "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
};

static const CmSql sql_transaction_find = {
  "transaction-find",
  "SELECT event FROM client_transaction "
  "WHERE user_id = $1 AND device_id = $2 AND scope = $3 AND txn_id = $4 AND event IS NOT NULL",
};

/* One append on its way. */
typedef struct {
  CmRooms *rooms;
  char *key; /* of its transaction; NULL: none */
  char *device;
  char *scope;
  char *txn_id;
  CmEvent *event;
  guint tries;
  CmAppended callback;
  gpointer data;
} Append;

static void
finish (Append *append, CmEvent *event, const GError *error)
{
  g_autoptr (GError) conflict = NULL;
  if (g_error_matches (error, CM_ERROR, CM_ERROR_CONFLICT)) {
    conflict = g_error_new_literal (CM_ERROR, CM_ERROR_UNAVAILABLE, "Please try again");
    error = conflict;
  }
  append->callback (event, error, append->data);
  if (append->key != NULL)
    cm_transactions_end (append->rooms->transactions, append->key, event, error);
  g_clear_pointer (&append->event, cm_event_unref);
  g_free (append->key);
  g_free (append->device);
  g_free (append->scope);
  g_free (append->txn_id);
  g_free (append);
}

/* Fenced: of two sends with one transaction id the second must not become an event, whatever memory
 * has forgotten. */
static void
add_transaction (CmRoomWrite *write, const Append *append, const CmEvent *event)
{
  if (append->key == NULL)
    return;
  cm_write_add_fenced (write->write, &sql_transaction,
                       CM_ARGS (CM_INT (event->sender_sym), CM_TEXT (append->device),
                                CM_TEXT (append->scope), CM_TEXT (append->txn_id),
                                CM_TEXT (event->event_id), CM_INT (event->number),
                                CM_INT (g_get_real_time () / 1000)));
}

static void
on_written (const GError *error, gpointer data)
{
  Append *append = data;
  if (error == NULL || ++append->tries >= MAX_TRIES ||
      !g_error_matches (error, CM_ERROR, CM_ERROR_CONFLICT)) {
    finish (append, error == NULL ? append->event : NULL, error);
    return;
  }
  cm_rooms_begin_work (append->rooms);
  g_thread_pool_push (append->rooms->retries, append, NULL);
}

/* A desk at the room, opened anew when an earlier write failed. @extra: nullable, transfer full. */
static CmRoomWrite *
begin (CmRoom *room, CmWrite *extra, GError **error)
{
  g_autoptr (CmWrite) statements = extra;
  g_autoptr (CmRoom) current = cm_room_ref (room);
  CmRoomWrite *write;
  while ((write = cm_room_write_begin (current, NULL, NULL)) == NULL) {
    CmRoom *fresh = cm_rooms_get (room->rooms, room->room_id, error);
    if (fresh == NULL)
      return NULL;
    cm_room_unref (current);
    current = fresh;
  }
  if (statements != NULL) {
    cm_write_free (write->write);
    write->write = g_steal_pointer (&statements);
  }
  return write;
}

/* (transfer full) a desk and, added to it, the event of @draft. */
static CmRoomWrite *
begin_with (CmRoom *room, const CmDraft *draft, CmEvent **event, GError **error)
{
  for (;;) {
    g_autoptr (GError) failure = NULL;
    g_autoptr (CmRoomWrite) write = begin (room, NULL, &failure);
    if (write != NULL && (*event = cm_draft_add (write, draft, 0, &failure)) != NULL)
      return g_steal_pointer (&write);
    if (!g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
  }
}

static void
start (Append *append, CmRoom *room, const CmDraft *draft)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = NULL;
  g_autoptr (CmRoomWrite) write = begin_with (room, draft, &event, &error);
  if (write == NULL) {
    finish (append, NULL, error);
    return;
  }
  /* The present state event, and nothing to write: unless it is itself still under way there is
   * nothing to wait for. */
  if (write->events->len == 0 && append->key == NULL && cm_event_position (event) != 0) {
    g_clear_pointer (&write, cm_room_write_abandon);
    finish (append, event, NULL);
    return;
  }
  add_transaction (write, append, event);
  g_clear_pointer (&append->event, cm_event_unref);
  append->event = g_steal_pointer (&event);
  cm_room_write_submit (g_steal_pointer (&write), on_written, append);
}

/* The event that the transaction made before; NULL without @error when there is none. */
static CmEvent *
find_transaction (const Append *append, GError **error)
{
  if (append->key == NULL)
    return NULL;
  g_autoptr (CmRows) rows = NULL;
  {
    g_autoptr (CmDb) db = cm_pool_get (append->rooms->parts.pool, error);
    if (db == NULL)
      return NULL;
    rows = cm_db_query (db, &sql_transaction_find,
                        CM_ARGS (CM_INT (append->event->sender_sym), CM_TEXT (append->device),
                                 CM_TEXT (append->scope), CM_TEXT (append->txn_id)),
                        error);
  }
  if (rows == NULL || cm_rows_count (rows) == 0)
    return NULL;
  return cm_event_store_get (append->rooms->events, cm_rows_integer (rows, 0, 0), error);
}

/* What is there after all: the event itself, when only the answer to the commit was lost, or that
 * of an earlier send. */
static CmEvent *
find_committed (const Append *append, GError **error)
{
  g_autoptr (GError) failure = NULL;
  CmEvent *event = cm_event_store_find (append->rooms->events, append->event->event_id, &failure);
  if (event != NULL)
    return event;
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    return find_transaction (append, error);
  g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

/* The draft that @event was made of. */
static CmDraft
draft_of (const CmEvent *event)
{
  return (CmDraft){
    .type = event->type,
    .state_key = event->state_key,
    .sender = event->sender,
    .content = event->content,
    .redacts = event->redacts,
    .origin_server_ts = event->origin_server_ts,
  };
}

static gboolean
try_again (Append *append, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) before = cm_event_ref (append->event); /* the draft borrows from it */
  g_autoptr (CmEvent) committed = find_committed (append, &failure);
  if (committed != NULL) {
    finish (append, committed, NULL);
    return TRUE;
  }
  g_autoptr (CmRoom) room =
      failure == NULL ? cm_rooms_get (append->rooms, before->room_id, &failure) : NULL;
  if (room == NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  CmDraft draft = draft_of (before);
  start (append, room, &draft);
  return TRUE;
}

static void
retry (gpointer data, gpointer user_data)
{
  Append *append = data;
  CmRooms *rooms = append->rooms;
  g_autoptr (GError) error = NULL;
  if (g_get_monotonic_time () < rooms->no_retry_before)
    g_set_error_literal (&error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The database is not available");
  else if (!try_again (append, &error) && g_error_matches (error, CM_ERROR, CM_ERROR_UNAVAILABLE))
    rooms->no_retry_before = g_get_monotonic_time () + PAUSE_AFTER_FAILURE;
  if (error != NULL)
    finish (append, NULL, error);
  cm_rooms_end_work (rooms);
}

GThreadPool *
cm_append_retries_new (CmRooms *rooms)
{
  return g_thread_pool_new (retry, NULL, 1, FALSE, NULL);
}

/* TRUE when the transaction is in memory and has its answer, or will have it. */
static gboolean
answer_from_memory (CmRooms *rooms, const char *key, CmAppended callback, gpointer data)
{
  gint64 number;
  switch (cm_transactions_begin (rooms->transactions, key, callback, data, &number)) {
  case CM_TRANSACTION_NEW:
    return FALSE;
  case CM_TRANSACTION_WAITING:
    return TRUE;
  case CM_TRANSACTION_DONE:
    break;
  }
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = cm_event_store_get (rooms->events, number, &error);
  callback (event, error, data);
  return TRUE;
}

void
cm_room_append_async (CmRoom *room, const CmDraft *draft, CmAppended callback, gpointer data)
{
  g_autofree char *key = NULL;
  if (draft->txn_id != NULL) {
    key = g_strjoin ("\n", draft->sender, draft->txn_device, draft->txn_scope, draft->txn_id, NULL);
    if (answer_from_memory (room->rooms, key, callback, data))
      return;
  }
  Append *append = g_new0 (Append, 1);
  *append = (Append){
    .rooms = room->rooms,
    .key = g_steal_pointer (&key),
    .device = g_strdup (draft->txn_device),
    .scope = g_strdup (draft->txn_scope),
    .txn_id = g_strdup (draft->txn_id),
    .callback = callback,
    .data = data,
  };
  start (append, room, draft);
}

typedef struct {
  CmWaiter waiter;
  CmEvent *event;
} Appending;

static void
on_appended (CmEvent *event, const GError *error, gpointer data)
{
  Appending *appending = data;
  appending->event = event != NULL ? cm_event_ref (event) : NULL;
  cm_waiter_end (&appending->waiter, error);
}

CmEvent *
cm_room_append_one (CmRoom *room, const CmDraft *draft, GError **error)
{
  Appending appending;
  cm_waiter_init (&appending.waiter);
  cm_room_append_async (room, draft, on_appended, &appending);
  return cm_waiter_wait (&appending.waiter, error) ? appending.event : NULL;
}

/* (transfer full) the events of @drafts, written; @write is taken. */
static GPtrArray *
append_all (CmRoomWrite *write, const CmDraft *drafts, gsize count, GError **error)
{
  g_autoptr (CmRoomWrite) desk = write;
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  for (gsize i = 0; i < count; i++) {
    CmEvent *event = cm_draft_add (desk, &drafts[i], 0, error);
    if (event == NULL)
      return NULL;
    g_ptr_array_add (events, event);
  }
  return cm_room_write_commit (g_steal_pointer (&desk), error) ? g_steal_pointer (&events) : NULL;
}

/* A lost race was not the client's fault: 503 rather than 409. */
static void
soften (GError **error)
{
  if (error == NULL || !g_error_matches (*error, CM_ERROR, CM_ERROR_CONFLICT))
    return;
  g_clear_error (error);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "Please try again");
}

GPtrArray *
cm_room_append (CmRoom *room, const CmDraft *drafts, gsize count, CmWrite *extra, GError **error)
{
  gboolean once = extra != NULL; /* it is gone with the first try */
  for (guint tries = 1;; tries++) {
    g_autoptr (GError) failure = NULL;
    CmRoomWrite *write = begin (room, g_steal_pointer (&extra), &failure);
    GPtrArray *events = write != NULL ? append_all (write, drafts, count, &failure) : NULL;
    if (events != NULL)
      return events;
    if (once || tries >= MAX_TRIES || !g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT)) {
      soften (&failure);
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
  }
}
