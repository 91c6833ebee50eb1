/* Backups of room keys (client-server, "Server-side key backups"): versions and the encrypted
 * sessions in them, opaque to the server. */
#pragma once

#include "crypto/json.h"
#include "schema/db.h"

G_BEGIN_DECLS

typedef struct {
  gint64 version;
  char *algorithm;
  GBytes *auth_data;
  gint64 etag;
  gint64 count;
} CmKeyBackup;

void cm_key_backup_free (CmKeyBackup *backup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmKeyBackup, cm_key_backup_free)

/* Makes a new version, which becomes the current one. Returns its number, 0 with @error. */
gint64 cm_key_backup_new (CmDb *db, const char *user_id, const char *algorithm, GBytes *auth_data,
                          GError **error);
/* (transfer full) @version, or the current one when it is 0. CM_ERROR_NOT_FOUND. */
CmKeyBackup *cm_key_backup_find (CmDb *db, const char *user_id, gint64 version, GError **error);
gboolean cm_key_backup_set_auth_data (CmDb *db, const char *user_id, gint64 version,
                                      GBytes *auth_data, GError **error);
/* Deletes a version and what is in it. */
gboolean cm_key_backup_delete (CmDb *db, const char *user_id, gint64 version, GError **error);

typedef struct {
  const char *room_id;
  const char *session_id;
  gint64 first_message_index;
  gint64 forwarded_count;
  gboolean is_verified;
  GBytes *session_data;
} CmBackupSession;

/* Stores @sessions, each unless a better one of its id is there; the etag changes when something
 * did. In a transaction of the caller's. */
gboolean cm_key_backup_put (CmDb *db, const char *user_id, gint64 version,
                            const CmBackupSession *sessions, gsize count, GError **error);
/* Rows of (room_id, session_id, first_message_index, forwarded_count, is_verified, session_data) by
 * room and session; NULL ids: all. */
CmRows *cm_key_backup_get (CmDb *db, const char *user_id, gint64 version, const char *room_id,
                           const char *session_id, GError **error);
gboolean cm_key_backup_remove (CmDb *db, const char *user_id, gint64 version, const char *room_id,
                               const char *session_id, GError **error);

G_END_DECLS
