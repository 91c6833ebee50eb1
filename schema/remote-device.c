#include "schema/remote-device.h"

static const CmSql find_list = {
  "remote_list_find",
  "SELECT stream_id, stale FROM remote_device_list WHERE user_id = $1",
};

static const CmSql find_devices = {
  "remote_devices_find",
  "SELECT device_id, keys, display_name FROM remote_device"
  " WHERE user_id = $1 AND keys IS NOT NULL AND ($2::text[] IS NULL OR device_id = ANY ($2)) ORDER "
  "BY device_id",
};

static const CmSql replace_list[] = {
  { "remote_devices_clear",
    "DELETE FROM remote_device WHERE user_id = $1 AND $2::bigint IS NOT NULL" },
  { "remote_list_replace",
    "INSERT INTO remote_device_list (user_id, stream_id, stale) VALUES ($1, $2, false)"
    " ON CONFLICT (user_id) DO UPDATE SET stream_id = excluded.stream_id, stale = false" },
};

static const CmSql mark_stale = {
  "remote_list_mark_stale",
  "UPDATE remote_device_list SET stale = true WHERE user_id = $1",
};

static const CmSql advance_list = {
  "remote_list_advance",
  "UPDATE remote_device_list SET stream_id = $2 WHERE user_id = $1 AND stream_id < $2",
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
cm_remote_list_find (CmDb *db, const char *user_id, CmRemoteList *list, gint64 *stream_id,
                     GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &find_list, CM_ARGS (CM_TEXT (user_id)), error);

  if (rows == NULL)
    return FALSE;
  gboolean known = cm_rows_count (rows) > 0;
  *stream_id = known ? cm_rows_integer (rows, 0, 0) : 0;
  *list = !known                         ? CM_REMOTE_LIST_NONE
          : cm_rows_boolean (rows, 0, 1) ? CM_REMOTE_LIST_STALE
                                         : CM_REMOTE_LIST_FRESH;
  return TRUE;
}

CmRows *
cm_remote_devices_find (CmDb *db, const char *user_id, char **device_ids, GError **error)
{
  CmParam devices = device_ids != NULL ? CM_TEXTS (device_ids) : CM_SQL_NULL;

  return cm_db_query (db, &find_devices, CM_ARGS (CM_TEXT (user_id), devices), error);
}

void
cm_remote_list_replace (CmWrite *write, const char *user_id, gint64 stream_id)
{
  for (gsize i = 0; i < G_N_ELEMENTS (replace_list); i++)
    cm_write_add (write, &replace_list[i], CM_ARGS (CM_TEXT (user_id), CM_INT (stream_id)));
}

void
cm_remote_list_mark_stale (CmWrite *write, const char *user_id)
{
  cm_write_add (write, &mark_stale, CM_ARGS (CM_TEXT (user_id)));
}

void
cm_remote_list_advance (CmWrite *write, const char *user_id, gint64 stream_id)
{
  cm_write_add (write, &advance_list, CM_ARGS (CM_TEXT (user_id), CM_INT (stream_id)));
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
