#include "schema/media.h"

static const CmSql find = {
  "media_find",
  "SELECT server, media_id, content_type, file_name, length, sha256, uploader, expires_ts,"
  " last_used_ts, quarantined FROM media WHERE server = $1 AND media_id = $2",
};

static const CmSql insert = {
  "media_insert",
  "INSERT INTO media (server, media_id, content_type, file_name, length, sha256, uploader,"
  " created_ts, last_used_ts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING",
};

static const CmSql touch = {
  "media_touch",
  "UPDATE media SET last_used_ts = greatest (last_used_ts, $3) WHERE server = $1 AND media_id = $2",
};

static const CmSql forget_expired = {
  "media_forget_expired",
  "DELETE FROM media WHERE uploader = $1 AND sha256 IS NULL AND expires_ts <= $2",
};

static const CmSql reserve = {
  "media_reserve",
  "INSERT INTO media (server, media_id, uploader, created_ts, last_used_ts, expires_ts)"
  " SELECT $1, $2, $3, $4, $4, $5"
  " WHERE (SELECT count (*) FROM media WHERE uploader = $3 AND sha256 IS NULL) < $6",
};

static const CmSql fulfil = {
  "media_fulfil",
  "UPDATE media SET content_type = $4, file_name = $5, length = $6, sha256 = $7,"
  " expires_ts = NULL, last_used_ts = $8"
  " WHERE server = $1 AND media_id = $2 AND uploader = $3 AND sha256 IS NULL AND expires_ts > $8",
};

static const CmSql uploaded_size = {
  "media_uploaded_size",
  "SELECT coalesce (sum (length + 4096), 0)::bigint FROM media"
  " WHERE uploader = $1 AND sha256 IS NOT NULL",
};

static const CmSql is_used = {
  "media_is_used",
  "SELECT EXISTS (SELECT FROM media WHERE sha256 = $1)",
};

static const CmSql delete_one = {
  "media_delete",
  "DELETE FROM media WHERE server = $1 AND media_id = $2",
};

static const CmSql remote_size = {
  "media_remote_size",
  "SELECT coalesce (sum (length), 0)::bigint FROM media WHERE uploader IS NULL",
};

static const CmSql oldest_remote = {
  "media_oldest_remote",
  "SELECT server, media_id, length, sha256 FROM media WHERE uploader IS NULL"
  " ORDER BY last_used_ts LIMIT $1",
};

static const CmSql find_thumbnail = {
  "media_find_thumbnail",
  "SELECT content_type, too_large FROM media_thumbnail WHERE sha256 = $1 AND width = $2"
  " AND height = $3 AND method = $4 AND animated = $5",
};

static const CmSql put_thumbnail = {
  "media_put_thumbnail",
  "INSERT INTO media_thumbnail (sha256, width, height, method, animated, content_type, too_large,"
  " length, made_ts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
  " ON CONFLICT (sha256, width, height, method, animated)"
  " DO UPDATE SET content_type = excluded.content_type, too_large = excluded.too_large,"
  " length = excluded.length, made_ts = excluded.made_ts",
};

static const CmSql delete_thumbnails = {
  "media_delete_thumbnails",
  "DELETE FROM media_thumbnail WHERE sha256 = $1",
};

static const CmSql delete_thumbnail = {
  "media_delete_thumbnail",
  "DELETE FROM media_thumbnail WHERE sha256 = $1 AND width = $2 AND height = $3 AND method = $4"
  " AND animated = $5",
};

static const CmSql thumbnails_size = {
  "media_thumbnails_size",
  "SELECT coalesce (sum (length), 0)::bigint FROM media_thumbnail WHERE length > 0",
};

static const CmSql oldest_thumbnails = {
  "media_oldest_thumbnails",
  "SELECT sha256, width, height, method, animated, length FROM media_thumbnail WHERE length > 0"
  " ORDER BY made_ts LIMIT $1",
};

void
cm_media_free (CmMedia *media)
{
  g_free (media->server);
  g_free (media->media_id);
  g_free (media->content_type);
  g_free (media->file_name);
  g_free (media->sha256);
  g_free (media->uploader);
  g_free (media);
}

CmMedia *
cm_media_find (CmDb *db, const char *server, const char *media_id, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &find, CM_ARGS (CM_TEXT (server), CM_TEXT (media_id)), error);

  if (rows == NULL)
    return NULL;
  if (cm_rows_count (rows) == 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such media");
    return NULL;
  }
  CmMedia *media = g_new0 (CmMedia, 1);
  media->server = g_strdup (cm_rows_text (rows, 0, 0));
  media->media_id = g_strdup (cm_rows_text (rows, 0, 1));
  media->content_type = g_strdup (cm_rows_text (rows, 0, 2));
  media->file_name = g_strdup (cm_rows_text (rows, 0, 3));
  media->length = cm_rows_integer (rows, 0, 4);
  media->sha256 = g_strdup (cm_rows_text (rows, 0, 5));
  media->uploader = g_strdup (cm_rows_text (rows, 0, 6));
  media->expires_ts = cm_rows_integer (rows, 0, 7);
  media->last_used_ts = cm_rows_integer (rows, 0, 8);
  media->quarantined = cm_rows_boolean (rows, 0, 9);
  return media;
}

gboolean
cm_media_insert (CmDb *db, const CmMedia *media, gint64 now_ms, GError **error)
{
  return cm_db_run (db, &insert,
                    CM_ARGS (CM_TEXT (media->server), CM_TEXT (media->media_id),
                             CM_TEXT (media->content_type), CM_TEXT (media->file_name),
                             CM_INT (media->length), CM_TEXT (media->sha256),
                             CM_TEXT (media->uploader), CM_INT (now_ms)),
                    NULL, error);
}

gboolean
cm_media_touch (CmDb *db, const CmMedia *media, gint64 now_ms, GError **error)
{
  return cm_db_run (db, &touch,
                    CM_ARGS (CM_TEXT (media->server), CM_TEXT (media->media_id), CM_INT (now_ms)),
                    NULL, error);
}

gboolean
cm_media_reserve (CmDb *db, const char *server, const char *media_id, const char *uploader,
                  gint64 now_ms, gint64 expires_ts, gint64 max_reserved, GError **error)
{
  gint64 affected;

  if (!cm_db_run (db, &forget_expired, CM_ARGS (CM_TEXT (uploader), CM_INT (now_ms)), NULL,
                  error) ||
      !cm_db_run (db, &reserve,
                  CM_ARGS (CM_TEXT (server), CM_TEXT (media_id), CM_TEXT (uploader),
                           CM_INT (now_ms), CM_INT (expires_ts), CM_INT (max_reserved)),
                  &affected, error))
    return FALSE;
  if (affected > 0)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_LIMIT_EXCEEDED,
                       "Too many of your uploads have not been made yet");
  return FALSE;
}

gboolean
cm_media_fulfil (CmDb *db, const CmMedia *media, gint64 now_ms, GError **error)
{
  gint64 affected;

  if (!cm_db_run (db, &fulfil,
                  CM_ARGS (CM_TEXT (media->server), CM_TEXT (media->media_id),
                           CM_TEXT (media->uploader), CM_TEXT (media->content_type),
                           CM_TEXT (media->file_name), CM_INT (media->length),
                           CM_TEXT (media->sha256), CM_INT (now_ms)),
                  &affected, error))
    return FALSE;
  if (affected > 0)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Unknown media ID");
  return FALSE;
}

/* The one number that @rows (taken, nullable) are; 0 without them. */
static gboolean
take_size (CmRows *rows, gint64 *bytes)
{
  *bytes = rows != NULL ? cm_rows_integer (rows, 0, 0) : 0;
  if (rows == NULL)
    return FALSE;
  cm_rows_free (rows);
  return TRUE;
}

gboolean
cm_media_uploaded_size (CmDb *db, const char *uploader, gint64 *bytes, GError **error)
{
  return take_size (cm_db_query (db, &uploaded_size, CM_ARGS (CM_TEXT (uploader)), error), bytes);
}

gboolean
cm_media_is_used (CmDb *db, const char *sha256, gboolean *used, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &is_used, CM_ARGS (CM_TEXT (sha256)), error);

  *used = rows == NULL || cm_rows_boolean (rows, 0, 0);
  return rows != NULL;
}

gboolean
cm_media_delete (CmDb *db, const char *server, const char *media_id, GError **error)
{
  return cm_db_run (db, &delete_one, CM_ARGS (CM_TEXT (server), CM_TEXT (media_id)), NULL, error);
}

gboolean
cm_media_remote_size (CmDb *db, gint64 *bytes, GError **error)
{
  return take_size (cm_db_query (db, &remote_size, CM_NO_ARGS, error), bytes);
}

CmRows *
cm_media_oldest_remote (CmDb *db, gint64 limit, GError **error)
{
  return cm_db_query (db, &oldest_remote, CM_ARGS (CM_INT (limit)), error);
}

gboolean
cm_media_find_thumbnail (CmDb *db, const CmThumbnailKey *key, CmThumbnailState *state,
                         char **content_type, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &find_thumbnail,
                   CM_ARGS (CM_TEXT (key->sha256), CM_INT (key->width), CM_INT (key->height),
                            CM_TEXT (key->method), CM_BOOL (key->animated)),
                   error);

  *content_type = NULL;
  if (rows == NULL)
    return FALSE;
  if (cm_rows_count (rows) == 0)
    *state = CM_THUMBNAIL_ABSENT;
  else if (cm_rows_boolean (rows, 0, 1))
    *state = CM_THUMBNAIL_TOO_LARGE;
  else if (cm_rows_is_null (rows, 0, 0))
    *state = CM_THUMBNAIL_IMPOSSIBLE;
  else
    *state = CM_THUMBNAIL_MADE;
  if (*state == CM_THUMBNAIL_MADE)
    *content_type = g_strdup (cm_rows_text (rows, 0, 0));
  return TRUE;
}

gboolean
cm_media_put_thumbnail (CmDb *db, const CmThumbnailKey *key, const CmThumbnailMade *made,
                        GError **error)
{
  gboolean is_made = made->state == CM_THUMBNAIL_MADE;

  return cm_db_run (db, &put_thumbnail,
                    CM_ARGS (CM_TEXT (key->sha256), CM_INT (key->width), CM_INT (key->height),
                             CM_TEXT (key->method), CM_BOOL (key->animated),
                             CM_TEXT (is_made ? made->content_type : NULL),
                             CM_BOOL (made->state == CM_THUMBNAIL_TOO_LARGE),
                             CM_INT (is_made ? made->length : 0), CM_INT (made->made_ts)),
                    NULL, error);
}

gboolean
cm_media_delete_thumbnails (CmDb *db, const char *sha256, GError **error)
{
  return cm_db_run (db, &delete_thumbnails, CM_ARGS (CM_TEXT (sha256)), NULL, error);
}

gboolean
cm_media_delete_thumbnail (CmDb *db, const CmThumbnailKey *key, GError **error)
{
  return cm_db_run (db, &delete_thumbnail,
                    CM_ARGS (CM_TEXT (key->sha256), CM_INT (key->width), CM_INT (key->height),
                             CM_TEXT (key->method), CM_BOOL (key->animated)),
                    NULL, error);
}

gboolean
cm_media_thumbnails_size (CmDb *db, gint64 *bytes, GError **error)
{
  return take_size (cm_db_query (db, &thumbnails_size, CM_NO_ARGS, error), bytes);
}

CmRows *
cm_media_oldest_thumbnails (CmDb *db, gint64 limit, GError **error)
{
  return cm_db_query (db, &oldest_thumbnails, CM_ARGS (CM_INT (limit)), error);
}
