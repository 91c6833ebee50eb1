/* The room keys in a backup, all at once, a room's or a session's. */
#include "crypto/id.h"
#include "server/api/client/key-backup-private.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

/* Sessions of one upload: a full backup of a busy account comes in parts of a few hundred. */
#define MAX_SESSIONS 20000

/* Whose room it is, and whether there is one, is the client's to know. */
static gboolean
is_name (const char *text)
{
  return text != NULL && strlen (text) <= CM_ID_MAX_BYTES;
}

static gboolean
read_session (const char *room_id, const char *session_id, const CmJson *json, GArray *sessions,
              GError **error)
{
  CmBackupSession session = { .room_id = room_id,
                              .session_id = session_id,
                              .first_message_index =
                                  cm_json_get_integer (json, "first_message_index", -1),
                              .forwarded_count = cm_json_get_integer (json, "forwarded_count", -1),
                              .is_verified = cm_json_get_boolean (json, "is_verified", FALSE) };
  const CmJson *data = cm_backup_opaque (json, "session_data");

  if (!is_name (room_id) || room_id[0] != '!' || !is_name (session_id) || data == NULL ||
      session.first_message_index < 0 || session.forwarded_count < 0 ||
      sessions->len >= MAX_SESSIONS) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "A session of the backup is malformed");
    return FALSE;
  }
  session.session_data = cm_json_canonical (data, NULL, error);
  if (session.session_data == NULL)
    return FALSE;
  g_array_append_val (sessions, session);
  return TRUE;
}

static gboolean
read_sessions (const char *room_id, const CmJson *room, GArray *sessions, GError **error)
{
  const CmJson *by_id = cm_json_get_object (room, "sessions");
  const CmJson *session;
  CmJsonIter iter;

  if (by_id == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "sessions must be an object");
    return FALSE;
  }
  cm_json_iter_init (&iter, by_id);
  while (cm_json_iter_next (&iter, NULL, &session))
    if (!read_session (room_id, cm_json_text (iter.key), session, sessions, error))
      return FALSE;
  return TRUE;
}

static gboolean
read_rooms (const CmJson *body, GArray *sessions, GError **error)
{
  const CmJson *rooms = cm_json_get_object (body, "rooms");
  const CmJson *room;
  CmJsonIter iter;

  if (rooms == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "rooms must be an object");
    return FALSE;
  }
  cm_json_iter_init (&iter, rooms);
  while (cm_json_iter_next (&iter, NULL, &room))
    if (!read_sessions (cm_json_text (iter.key), room, sessions, error))
      return FALSE;
  return TRUE;
}

static void
clear_session (gpointer session)
{
  g_bytes_unref (((CmBackupSession *) session)->session_data);
}

/* The sessions of a body, whichever of the three forms the path gives it (transfer full). */
static GArray *
sessions_of (CmCall *call, const char *room_id, const char *session_id, GError **error)
{
  g_autoptr (GArray) sessions = g_array_new (FALSE, FALSE, sizeof (CmBackupSession));
  const CmJson *body = cm_call_json (call);
  gboolean good;

  g_array_set_clear_func (sessions, clear_session);
  if (session_id != NULL)
    good = read_session (room_id, session_id, body, sessions, error);
  else if (room_id != NULL)
    good = read_sessions (room_id, body, sessions, error);
  else
    good = read_rooms (body, sessions, error);
  return good ? g_steal_pointer (&sessions) : NULL;
}

static CmReply *
reply_count (CmDb *db, const char *user_id, gint64 version, GError **error)
{
  g_autoptr (CmKeyBackup) backup = cm_key_backup_find (db, user_id, version, error);

  if (backup == NULL)
    return NULL;
  g_autofree char *etag = g_strdup_printf ("%" G_GINT64_FORMAT, backup->etag);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_integer (writer, "count", backup->count);
  cm_json_put_text (writer, "etag", etag);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmReply *
wrong_version (gint64 current)
{
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, current);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", cm_error_errcode (CM_ERROR_WRONG_ROOM_KEYS_VERSION));
  cm_json_put_text (writer, "error", "This is not the current backup version");
  cm_json_put_text (writer, "current_version", text);
  cm_json_close (writer);
  return cm_reply_json_status (cm_error_status (CM_ERROR_WRONG_ROOM_KEYS_VERSION), writer);
}

static CmReply *
put_keys (CmCall *call, const char *room_id, const char *session_id, GError **error)
{
  const char *user_id = cm_call_user (call);
  gint64 version;

  if (!cm_backup_version_parse (cm_call_query (call, "version"), &version, error))
    return NULL;
  g_autoptr (GArray) sessions = sessions_of (call, room_id, session_id, error);
  if (sessions == NULL)
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (CmKeyBackup) current = db != NULL ? cm_key_backup_find (db, user_id, 0, error) : NULL;
  if (current == NULL)
    return NULL;
  if (current->version != version)
    return wrong_version (current->version);
  g_autoptr (CmTransaction) transaction = cm_transaction_begin (db, error);
  if (transaction == NULL ||
      !cm_key_backup_put (db, user_id, version, (const CmBackupSession *) sessions->data,
                          sessions->len, error) ||
      !cm_transaction_commit (transaction, error))
    return NULL;
  return reply_count (db, user_id, version, error);
}

static void
put_session (CmJsonWriter *writer, const char *key, const CmRows *rows, gsize row)
{
  g_autoptr (GBytes) data = cm_rows_bytes (rows, row, 5);

  cm_json_open_object (writer, key);
  cm_json_put_integer (writer, "first_message_index", cm_rows_integer (rows, row, 2));
  cm_json_put_integer (writer, "forwarded_count", cm_rows_integer (rows, row, 3));
  cm_json_put_boolean (writer, "is_verified", cm_rows_boolean (rows, row, 4));
  cm_json_put_bytes (writer, "session_data", data);
  cm_json_close (writer);
}

/* Rows from @row on that are of the same room, as {"sessions": {...}}; returns the row after them.
 */
static gsize
put_room (CmJsonWriter *writer, const char *key, const CmRows *rows, gsize row)
{
  const char *room_id = row < cm_rows_count (rows) ? cm_rows_text (rows, row, 0) : NULL;

  cm_json_open_object (writer, key);
  cm_json_open_object (writer, "sessions");
  for (; row < cm_rows_count (rows) && strcmp (cm_rows_text (rows, row, 0), room_id) == 0; row++)
    put_session (writer, cm_rows_text (rows, row, 1), rows, row);
  cm_json_close (writer);
  cm_json_close (writer);
  return row;
}

static CmReply *
get_keys (CmCall *call, const char *room_id, const char *session_id, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gint64 version;

  if (!cm_backup_version_parse (cm_call_query (call, "version"), &version, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (CmKeyBackup) backup =
      db != NULL ? cm_key_backup_find (db, cm_call_user (call), version, error) : NULL;
  g_autoptr (CmRows) rows = backup != NULL ? cm_key_backup_get (db, cm_call_user (call), version,
                                                                room_id, session_id, error)
                                           : NULL;
  if (rows == NULL)
    return NULL;
  if (session_id != NULL && cm_rows_count (rows) == 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such session in the backup");
    return NULL;
  }
  if (session_id != NULL) {
    put_session (writer, NULL, rows, 0);
  } else if (room_id != NULL) {
    put_room (writer, NULL, rows, 0);
  } else {
    cm_json_open_object (writer, NULL);
    cm_json_open_object (writer, "rooms");
    for (gsize row = 0; row < cm_rows_count (rows);)
      row = put_room (writer, cm_rows_text (rows, row, 0), rows, row);
    cm_json_close (writer);
    cm_json_close (writer);
  }
  return cm_reply_json (writer);
}

static CmReply *
delete_keys (CmCall *call, const char *room_id, const char *session_id, GError **error)
{
  gint64 version;

  if (!cm_backup_version_parse (cm_call_query (call, "version"), &version, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (CmKeyBackup) backup =
      db != NULL ? cm_key_backup_find (db, cm_call_user (call), version, error) : NULL;
  if (backup == NULL ||
      !cm_key_backup_remove (db, cm_call_user (call), version, room_id, session_id, error))
    return NULL;
  return reply_count (db, cm_call_user (call), version, error);
}

/* The three forms of the path: all keys, a room's, one session's. */
#define FORMS(verb)                                                                                \
  static CmReply *verb##_all (CmCall *call, GError **error)                                        \
  {                                                                                                \
    return verb (call, NULL, NULL, error);                                                         \
  }                                                                                                \
  static CmReply *verb##_of_room (CmCall *call, GError **error)                                    \
  {                                                                                                \
    return verb (call, cm_call_param (call, "roomId"), NULL, error);                               \
  }                                                                                                \
  static CmReply *verb##_of_session (CmCall *call, GError **error)                                 \
  {                                                                                                \
    return verb (call, cm_call_param (call, "roomId"), cm_call_param (call, "sessionId"), error);  \
  }

FORMS (put_keys)
FORMS (get_keys)
FORMS (delete_keys)

#define KEYS     "/_matrix/client/v3/room_keys/keys"
#define MAX_BODY (16 * 1024 * 1024)

const CmRoute cm_routes_key_backup[] = {
  { "PUT", KEYS, CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT, CM_BODY_JSON, put_keys_all,
    MAX_BODY },
  { "GET", KEYS, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_keys_all, 0 },
  { "DELETE", KEYS, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, delete_keys_all,
    0 },
  { "PUT", KEYS "/{roomId}", CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT, CM_BODY_JSON,
    put_keys_of_room, MAX_BODY },
  { "GET", KEYS "/{roomId}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE,
    get_keys_of_room, 0 },
  { "DELETE", KEYS "/{roomId}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE,
    delete_keys_of_room, 0 },
  { "PUT", KEYS "/{roomId}/{sessionId}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON,
    put_keys_of_session, 0 },
  { "GET", KEYS "/{roomId}/{sessionId}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE,
    get_keys_of_session, 0 },
  { "DELETE", KEYS "/{roomId}/{sessionId}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, delete_keys_of_session, 0 },
  CM_ROUTES_END,
};
