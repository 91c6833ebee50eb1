#include "schema/device.h"

#include "schema/token.h"

#define COLUMNS "device_id, display_name, last_seen_ts, last_seen_ip, last_seen_agent"

static const CmSql sql_ensure = {
  "device_ensure", "INSERT INTO device (user_id, device_id, display_name, created_ts)"
                   " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
};
static const CmSql sql_get = { "device_get", "SELECT " COLUMNS
                                             " FROM device WHERE user_id = $1 AND device_id = $2" };
static const CmSql sql_list = { "device_list",
                                "SELECT " COLUMNS
                                " FROM device WHERE user_id = $1 ORDER BY device_id" };
static const CmSql sql_name = {
  "device_name", "UPDATE device SET display_name = $3 WHERE user_id = $1 AND device_id = $2"
};
static const CmSql sql_delete = { "device_delete",
                                  "DELETE FROM device WHERE user_id = $1 AND device_id = $2" };
static const CmSql sql_seen = {
  "device_seen",
  "UPDATE device d SET last_seen_ts = s.ts, last_seen_ip = s.ip, last_seen_agent = s.agent"
  " FROM unnest ($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[])"
  " AS s (user_id, device_id, ts, ip, agent)"
  " WHERE d.user_id = s.user_id AND d.device_id = s.device_id"
};

void
cm_device_free (CmDevice *device)
{
  if (!device)
    return;
  g_free (device->device_id);
  g_free (device->display_name);
  g_free (device->last_seen_ip);
  g_free (device->last_seen_agent);
  g_free (device);
}

static CmDevice *
device_of (const CmRows *rows, gsize row)
{
  CmDevice *device = g_new0 (CmDevice, 1);
  device->device_id = g_strdup (cm_rows_text (rows, row, 0));
  device->display_name = g_strdup (cm_rows_text (rows, row, 1));
  device->last_seen_ts = cm_rows_integer (rows, row, 2);
  device->last_seen_ip = g_strdup (cm_rows_text (rows, row, 3));
  device->last_seen_agent = g_strdup (cm_rows_text (rows, row, 4));
  return device;
}

gboolean
cm_device_ensure (CmDb *db, const char *user_id, const char *device_id, const char *display_name,
                  gint64 now, gboolean *made, GError **error)
{
  gint64 affected = 0;
  gboolean done = cm_db_run (
      db, &sql_ensure,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (display_name), CM_INT (now)),
      &affected, error);
  if (made)
    *made = affected > 0;
  return done;
}

CmDevice *
cm_device_get (CmDb *db, const char *user_id, const char *device_id, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &sql_get, CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)), error);
  return rows && cm_rows_count (rows) > 0 ? device_of (rows, 0) : NULL;
}

GPtrArray *
cm_device_list (CmDb *db, const char *user_id, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_list, CM_ARGS (CM_TEXT (user_id)), error);
  if (!rows)
    return NULL;
  GPtrArray *devices = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_device_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_ptr_array_add (devices, device_of (rows, i));
  return devices;
}

void
cm_device_write_name (CmWrite *write, const char *user_id, const char *device_id,
                      const char *display_name)
{
  cm_write_add (write, &sql_name,
                CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (display_name)));
}

void
cm_device_write_delete (CmWrite *write, const char *user_id, const char *device_id)
{
  cm_write_add (write, &sql_delete, CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)));
  cm_token_write_delete_device (write, user_id, device_id);
}

gboolean
cm_device_seen (CmDb *db, const CmSightings *sightings, GError **error)
{
  return cm_db_run (db, &sql_seen,
                    CM_ARGS (CM_TEXTS (sightings->user_ids), CM_TEXTS (sightings->device_ids),
                             CM_INTS (sightings->times, sightings->n),
                             CM_TEXTS (sightings->addresses), CM_TEXTS (sightings->agents)),
                    NULL, error);
}
