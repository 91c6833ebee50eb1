#include "schema/participant.h"

static const CmSql find_participant = {
  "participant_find",
  "SELECT device_id, account, since FROM participant WHERE user_id = $1",
};

static const CmSql put_participant = {
  "participant_put",
  "INSERT INTO participant (user_id, device_id, account) VALUES ($1, $2, $3)"
  " ON CONFLICT (user_id) DO UPDATE SET account = excluded.account",
};

static const CmSql set_since = {
  "participant_set_since",
  "UPDATE participant SET since = $2 WHERE user_id = $1",
};

static const CmSql meet_device = {
  "participant_meet_device",
  "INSERT INTO participant_device AS old (user_id, device_id, curve25519, ed25519) VALUES ($1, $2, "
  "$3, $4)"
  " ON CONFLICT (user_id, device_id) DO UPDATE SET device_id = old.device_id"
  " RETURNING curve25519 = $3 AND ed25519 = $4",
};

static const CmSql devices_of_key = {
  "participant_devices_of_key",
  "SELECT user_id, device_id, ed25519 FROM participant_device WHERE curve25519 = $1",
};

static const CmSql olm_sessions = {
  "participant_olm_sessions",
  "SELECT session FROM participant_olm_session WHERE peer_key = $1 ORDER BY used_ts DESC LIMIT 10",
};

static const CmSql put_olm_session = {
  "participant_put_olm_session",
  "INSERT INTO participant_olm_session (peer_key, session_id, session, used_ts) VALUES ($1, $2, "
  "$3, $4)"
  " ON CONFLICT (peer_key, session_id) DO UPDATE SET session = excluded.session, used_ts = "
  "excluded.used_ts",
};

static const CmSql inbound_session = {
  "participant_inbound_session",
  "SELECT session, sender, sender_key FROM participant_inbound_session WHERE room_id = $1 AND "
  "session_id = $2",
};

static const CmSql put_inbound_session = {
  "participant_put_inbound_session",
  "INSERT INTO participant_inbound_session (room_id, session_id, sender, sender_key, session) "
  "VALUES ($1, $2, $3, $4, $5)"
  " ON CONFLICT DO NOTHING",
};

static const CmSql use_index = {
  "participant_use_index",
  "INSERT INTO participant_message_index AS old (session_id, index, event_id) VALUES ($1, $2, $3)"
  " ON CONFLICT (session_id, index) DO UPDATE SET index = old.index RETURNING event_id = $3",
};

static const CmSql outbound_session = {
  "participant_outbound_session",
  "SELECT session, shared FROM participant_outbound_session WHERE room_id = $1",
};

static const CmSql put_outbound_session = {
  "participant_put_outbound_session",
  "INSERT INTO participant_outbound_session (room_id, session, shared) VALUES ($1, $2, $3)"
  " ON CONFLICT (room_id) DO UPDATE SET session = excluded.session, shared = excluded.shared",
};

/* The one boolean that a statement returns. */
static gboolean
ask_truth (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, gboolean *truth,
           GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, sql, params, n_params, error);

  if (rows == NULL)
    return FALSE;
  *truth = cm_rows_count (rows) > 0 && cm_rows_boolean (rows, 0, 0);
  return TRUE;
}

CmRows *
cm_participant_find (CmDb *db, const char *user_id, GError **error)
{
  return cm_db_query (db, &find_participant, CM_ARGS (CM_TEXT (user_id)), error);
}

gboolean
cm_participant_put (CmDb *db, const char *user_id, const char *device_id, GBytes *account,
                    GError **error)
{
  return cm_db_run (db, &put_participant,
                    CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_BYTES (account)), NULL,
                    error);
}

gboolean
cm_participant_set_since (CmDb *db, const char *user_id, const char *since, GError **error)
{
  return cm_db_run (db, &set_since, CM_ARGS (CM_TEXT (user_id), CM_TEXT (since)), NULL, error);
}

gboolean
cm_participant_meet_device (CmDb *db, const char *user_id, const char *device_id,
                            const char *curve25519, const char *ed25519, gboolean *same,
                            GError **error)
{
  return ask_truth (
      db, &meet_device,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (curve25519), CM_TEXT (ed25519)),
      same, error);
}

CmRows *
cm_participant_devices_of_key (CmDb *db, const char *curve25519, GError **error)
{
  return cm_db_query (db, &devices_of_key, CM_ARGS (CM_TEXT (curve25519)), error);
}

CmRows *
cm_participant_olm_sessions (CmDb *db, const char *peer_key, GError **error)
{
  return cm_db_query (db, &olm_sessions, CM_ARGS (CM_TEXT (peer_key)), error);
}

gboolean
cm_participant_put_olm_session (CmDb *db, const char *peer_key, const char *session_id,
                                GBytes *session, GError **error)
{
  return cm_db_run (db, &put_olm_session,
                    CM_ARGS (CM_TEXT (peer_key), CM_TEXT (session_id), CM_BYTES (session),
                             CM_INT (g_get_real_time ())),
                    NULL, error);
}

CmRows *
cm_participant_inbound_session (CmDb *db, const char *room_id, const char *session_id,
                                GError **error)
{
  return cm_db_query (db, &inbound_session, CM_ARGS (CM_TEXT (room_id), CM_TEXT (session_id)),
                      error);
}

gboolean
cm_participant_put_inbound_session (CmDb *db, const char *room_id, const char *session_id,
                                    const char *sender, const char *sender_key, GBytes *session,
                                    GError **error)
{
  return cm_db_run (db, &put_inbound_session,
                    CM_ARGS (CM_TEXT (room_id), CM_TEXT (session_id), CM_TEXT (sender),
                             CM_TEXT (sender_key), CM_BYTES (session)),
                    NULL, error);
}

gboolean
cm_participant_use_index (CmDb *db, const char *session_id, gint64 index, const char *event_id,
                          gboolean *fresh, GError **error)
{
  return ask_truth (db, &use_index,
                    CM_ARGS (CM_TEXT (session_id), CM_INT (index), CM_TEXT (event_id)), fresh,
                    error);
}

CmRows *
cm_participant_outbound_session (CmDb *db, const char *room_id, GError **error)
{
  return cm_db_query (db, &outbound_session, CM_ARGS (CM_TEXT (room_id)), error);
}

gboolean
cm_participant_put_outbound_session (CmDb *db, const char *room_id, GBytes *session, GBytes *shared,
                                     GError **error)
{
  return cm_db_run (db, &put_outbound_session,
                    CM_ARGS (CM_TEXT (room_id), CM_BYTES (session), CM_BYTES (shared)), NULL,
                    error);
}
