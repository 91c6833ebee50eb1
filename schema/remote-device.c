#include "schema/remote-device.h"

/* Somebody here and the user of list l share a room, and have since the list was asked for: before
 * that, or after a gap, changes were told to nobody here. */
#define SHARED_SINCE                                                                               \
  "EXISTS (SELECT 1 FROM sym s JOIN member r ON r.user_id = s.id AND r.membership = 'join'"        \
  " JOIN member t ON t.room = r.room AND t.local AND t.membership = 'join'"                        \
  " WHERE s.text = l.user_id AND r.position <= l.position AND t.position <= l.position)"

/* As large as the answer may be in which a whole list comes: what updates add to it one by one is
 * not to come to more. 100 bytes are what a row takes beside what stands in it. */
#define MAX_LIST_BYTES "8388608"

static const CmSql find_list = {
  "remote_list_find",
  "SELECT l.stream_id FROM remote_device_list l"
  " WHERE l.user_id = $1 AND NOT l.stale AND " SHARED_SINCE,
};

static const CmSql fresh_lists = {
  "remote_lists_fresh",
  "SELECT l.user_id FROM remote_device_list l"
  " WHERE l.user_id = ANY ($1) AND NOT l.stale AND " SHARED_SINCE,
};

static const CmSql near_users = {
  "remote_users_near",
  "SELECT s.text FROM sym s WHERE s.text = ANY ($1) AND EXISTS"
  " (SELECT 1 FROM member r JOIN member t ON t.room = r.room AND t.local AND t.membership = 'join'"
  " WHERE r.user_id = s.id AND r.membership = 'join')",
};

static const CmSql find_devices = {
  "remote_devices_find",
  "SELECT user_id, device_id, keys, display_name FROM remote_device"
  " WHERE user_id = ANY ($1) AND keys IS NOT NULL ORDER BY user_id, device_id",
};

static const CmSql clear_devices = {
  "remote_devices_clear",
  "DELETE FROM remote_device WHERE user_id = $1",
};

/* Whatever was told meanwhile may not be in what was fetched. */
static const CmSql replace_list = {
  "remote_list_replace",
  "INSERT INTO remote_device_list AS old (user_id, stream_id, position, stale)"
  " VALUES ($1, $2, $3, false) ON CONFLICT (user_id) DO UPDATE SET stream_id = excluded.stream_id,"
  " position = excluded.position, stale = old.told > excluded.stream_id, told = 0",
};

/* What was told of the very list that is kept, because it was fetched before the news came, or they
 * came twice, makes it no worse. */
static const CmSql mark_stale = {
  "remote_list_mark_stale",
  "INSERT INTO remote_device_list AS old (user_id, stream_id, position, told, stale)"
  " VALUES ($1, 0, 0, $2, true) ON CONFLICT (user_id) DO UPDATE"
  " SET stale = old.stale OR old.stream_id <> excluded.told,"
  " told = greatest (old.told, excluded.told)",
};

static const CmSql advance_list = {
  "remote_list_advance",
  "UPDATE remote_device_list SET stream_id = $3"
  " WHERE user_id = $1 AND stream_id = $2 AND NOT stale"
  " AND (SELECT coalesce (sum (100 + octet_length (device_id) + coalesce (octet_length (keys), 0)"
  "  + coalesce (octet_length (display_name), 0)), 0) FROM remote_device WHERE user_id = $1)"
  " <= " MAX_LIST_BYTES,
};

static const CmSql put_device = {
  "remote_device_put",
  "INSERT INTO remote_device (user_id, device_id, display_name, keys) VALUES ($1, $2, $3, $4)"
  " ON CONFLICT (user_id, device_id) DO UPDATE SET display_name = excluded.display_name, keys = "
  "excluded.keys",
};

static const CmSql delete_device = {
  "remote_device_delete",
  "DELETE FROM remote_device WHERE user_id = $1 AND device_id = $2",
};

gboolean
cm_remote_list_find (CmDb *db, const char *user_id, gboolean *fresh, gint64 *stream_id,
                     GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &find_list, CM_ARGS (CM_TEXT (user_id)), error);

  if (rows == NULL)
    return FALSE;
  *fresh = cm_rows_count (rows) > 0;
  *stream_id = *fresh ? cm_rows_integer (rows, 0, 0) : 0;
  return TRUE;
}

CmRows *
cm_remote_lists_fresh (CmDb *db, char **user_ids, GError **error)
{
  return cm_db_query (db, &fresh_lists, CM_ARGS (CM_TEXTS (user_ids)), error);
}

CmRows *
cm_remote_users_near (CmDb *db, char **user_ids, GError **error)
{
  return cm_db_query (db, &near_users, CM_ARGS (CM_TEXTS (user_ids)), error);
}

CmRows *
cm_remote_devices_find (CmDb *db, char **user_ids, GError **error)
{
  return cm_db_query (db, &find_devices, CM_ARGS (CM_TEXTS (user_ids)), error);
}

void
cm_remote_list_replace (CmWrite *write, const char *user_id, gint64 stream_id, gint64 position)
{
  cm_write_add (write, &clear_devices, CM_ARGS (CM_TEXT (user_id)));
  cm_write_add (write, &replace_list,
                CM_ARGS (CM_TEXT (user_id), CM_INT (stream_id), CM_INT (position)));
}

void
cm_remote_list_mark_stale (CmWrite *write, const char *user_id, gint64 stream_id)
{
  cm_write_add (write, &mark_stale, CM_ARGS (CM_TEXT (user_id), CM_INT (stream_id)));
}

void
cm_remote_list_advance (CmWrite *write, const char *user_id, gint64 from, gint64 to)
{
  cm_write_add_fenced (write, &advance_list,
                       CM_ARGS (CM_TEXT (user_id), CM_INT (from), CM_INT (to)));
}

void
cm_remote_device_put (CmWrite *write, const char *user_id, const char *device_id,
                      const char *display_name, GBytes *keys)
{
  cm_write_add (
      write, &put_device,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (display_name), CM_BYTES (keys)));
}

void
cm_remote_device_delete (CmWrite *write, const char *user_id, const char *device_id)
{
  cm_write_add (write, &delete_device, CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)));
}
