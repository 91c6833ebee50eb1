#include "server/media/media-private.h"

#include "crypto/hash.h"
#include "server/config/config.h"
#include "server/media/header-value.h"

#include <string.h>

#define ID_LENGTH 24

/* client-server, POST media/v1/create recommends the day. */
#define RESERVED_MS  (24 * G_GINT64_CONSTANT (3600000))
#define MAX_RESERVED 20

/* A fetched file is held in memory before it is written: so many at a time, and so many of them
 * from one server or for one user. */
static const CmFlightsSize fetches_size = { 12, 4, 256 };
/* Each is a process that computes. */
static const CmFlightsSize thumbnails_size = { 2, 1, 256 };
#define MAX_WAITING 512

static gint64
now_ms (void)
{
  return g_get_real_time () / 1000;
}

/* One of the marks that the last node left (files.h). */
static gboolean
settle (const char *sha256, gpointer data, GError **error)
{
  CmMediaStore *store = data;
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);

  return db != NULL && cm_media_drop_unused (store->files, db, sha256, error);
}

static gboolean
open_store (CmMediaStore *store, GError **error)
{
  CmPool *pool = store->node->pool;
  const CmConfig *config = store->node->config;

  store->files = cm_media_files_new (config->media.path, error);
  if (store->files == NULL || !cm_media_files_settle (store->files, settle, store, error))
    return FALSE;
  store->copies_room = cm_media_room_new (&cm_media_kind_copies, pool, store->files,
                                          config->media.remote_cache, error);
  if (store->copies_room == NULL)
    return FALSE;
  store->thumbnails_room = cm_media_room_new (&cm_media_kind_thumbnails, pool, store->files,
                                              config->media.thumbnail_cache, error);
  return store->thumbnails_room != NULL;
}

CmMediaStore *
cm_media_store_new (CmNode *node, GError **error)
{
  g_autoptr (CmMediaStore) store = g_new0 (CmMediaStore, 1);

  store->node = node;
  if (!open_store (store, error))
    return NULL;
  store->fetches = cm_flights_new (&fetches_size, cm_media_serving_fetch, cm_media_serving_resume);
  store->thumbnails =
      cm_flights_new (&thumbnails_size, cm_media_serving_make, cm_media_serving_resume);
  store->waits = cm_waits_new (MAX_WAITING, cm_media_serving_come);
  store->thumbnailers = cm_thumbnailers_new ();
  return g_steal_pointer (&store);
}

void
cm_media_store_free (CmMediaStore *store)
{
  if (store == NULL)
    return;
  if (store->thumbnailers != NULL)
    cm_thumbnailers_stop (store->thumbnailers);
  /* In this order: who has waited may want to fetch, who has fetched may want a thumbnail. */
  g_clear_pointer (&store->waits, cm_waits_free);
  g_clear_pointer (&store->fetches, cm_flights_free);
  g_clear_pointer (&store->thumbnails, cm_flights_free);
  g_clear_pointer (&store->thumbnailers, cm_thumbnailers_free);
  g_clear_pointer (&store->copies_room, cm_media_room_free);
  g_clear_pointer (&store->thumbnails_room, cm_media_room_free);
  g_clear_pointer (&store->files, cm_media_files_free);
  g_free (store);
}

/* Writes @content, and has @record tell the database of it, which nobody can see before the file is
 * there. */
typedef gboolean (*Record) (CmDb *db, const CmMedia *media, gint64 now_ms, GError **error);

static gboolean
store_file (CmMediaStore *store, CmMedia *media, GBytes *given, Record record, GError **error)
{
  g_autoptr (GBytes) content = given != NULL ? g_bytes_ref (given) : g_bytes_new_static ("", 0);
  guint8 digest[CM_SHA256_SIZE];
  gsize length;
  const void *data = g_bytes_get_data (content, &length);

  cm_sha256 (data, length, digest);
  media->sha256 = cm_hex (digest, sizeof digest);
  media->length = (gint64) length;
  g_autoptr (CmNewFile) file = cm_media_files_begin (store->files, media->sha256, error);
  if (file == NULL || !cm_new_file_write (file, content, error))
    return FALSE;
  /* The connection first: who holds a lock of the files waits for nothing else. */
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);
  if (db == NULL)
    return FALSE;
  cm_media_files_lock (store->files, media->sha256);
  gboolean stored = cm_media_files_place (store->files, file, media->sha256, error) &&
                    record (db, media, now_ms (), error);
  /* When the database cannot say whether it knows of the file, the next start asks again. */
  if (!stored && !cm_media_drop_unused (store->files, db, media->sha256, NULL))
    cm_new_file_leave (g_steal_pointer (&file));
  cm_media_files_unlock (store->files, media->sha256);
  return stored;
}

/* (transfer full) what the database is to know of @upload. */
static CmMedia *
media_of_upload (const char *server, const char *media_id, const CmUpload *upload)
{
  CmMedia *media = g_new0 (CmMedia, 1);

  media->server = g_strdup (server);
  media->media_id = g_strdup (media_id);
  media->uploader = g_strdup (upload->uploader);
  media->file_name = g_strdup (upload->file_name);
  if (upload->content_type != NULL && cm_content_type_is_valid (upload->content_type))
    media->content_type = g_strdup (upload->content_type);
  return media;
}

/* client-server, "Security considerations" of the content repository. Whoever uploads several files
 * at a time may get a little more. */
static gboolean
check_quota (CmMediaStore *store, const CmUpload *upload, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);
  gint64 coming = upload->content != NULL ? (gint64) g_bytes_get_size (upload->content) : 0;
  gint64 stored;

  if (db == NULL || !cm_media_uploaded_size (db, upload->uploader, &stored, error))
    return FALSE;
  if (upload->is_trusted || stored + coming <= store->node->config->media.user_quota)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You have uploaded too much");
  return FALSE;
}

char *
cm_media_store_upload (CmMediaStore *store, const CmUpload *upload, GError **error)
{
  g_autofree char *media_id = cm_random_token (ID_LENGTH);
  const char *server = store->node->server_name;
  g_autoptr (CmMedia) media = media_of_upload (server, media_id, upload);

  if (!check_quota (store, upload, error) ||
      !store_file (store, media, upload->content, cm_media_insert, error))
    return NULL;
  return g_strdup_printf ("mxc://%s/%s", server, media_id);
}

char *
cm_media_store_reserve (CmMediaStore *store, const char *uploader, gint64 *expires_ts,
                        GError **error)
{
  g_autofree char *media_id = cm_random_token (ID_LENGTH);
  const char *server = store->node->server_name;
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);
  gint64 now = now_ms ();

  *expires_ts = now + RESERVED_MS;
  if (db == NULL ||
      !cm_media_reserve (db, server, media_id, uploader, now, *expires_ts, MAX_RESERVED, error))
    return NULL;
  return g_strdup_printf ("mxc://%s/%s", server, media_id);
}

/* Whether @media may get its content from @uploader: before the content is written, so that nobody
 * fills the disk with what is refused afterwards. */
static gboolean
may_fulfil (const CmMedia *media, const char *uploader, GError **error)
{
  if (g_strcmp0 (media->uploader, uploader) != 0)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "This media ID is not yours");
  else if (media->sha256 != NULL)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_CANNOT_OVERWRITE_MEDIA,
                         "Media already uploaded");
  else if (media->expires_ts <= now_ms ())
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "This media ID has expired");
  else
    return TRUE;
  return FALSE;
}

static CmMedia *
find (CmMediaStore *store, const char *server, const char *media_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);

  return db != NULL ? cm_media_find (db, server, media_id, error) : NULL;
}

gboolean
cm_media_store_fulfil (CmMediaStore *store, const char *server, const char *media_id,
                       const CmUpload *upload, GError **error)
{
  g_autoptr (CmMedia) there = find (store, server, media_id, error);

  if (there == NULL || !may_fulfil (there, upload->uploader, error) ||
      !check_quota (store, upload, error))
    return FALSE;
  g_autoptr (CmMedia) media = media_of_upload (server, media_id, upload);
  if (!store_file (store, media, upload->content, cm_media_fulfil, error))
    return FALSE;
  cm_waits_come (store->waits, media_id);
  return TRUE;
}

gboolean
cm_media_store_keep (CmMediaStore *store, const char *server, const char *media_id,
                     CmFilePart *part, GError **error)
{
  const CmUpload upload = { .content_type = part->content_type, .file_name = part->file_name };
  g_autoptr (CmMedia) media = media_of_upload (server, media_id, &upload);
  gint64 length = (gint64) g_bytes_get_size (part->content);

  return cm_media_room_take (store->copies_room, length, error) &&
         store_file (store, media, part->content, cm_media_insert, error);
}

/* The database first: a row without its file is noticed when the file is wanted, and the other way
 * round nobody would. */
static gboolean
place_thumbnail (CmMediaStore *store, CmDb *db, CmNewFile *file, const CmThumbnailKey *key,
                 const CmThumbnailMade *made, GError **error)
{
  g_autofree char *kind = cm_thumbnail_kind (key);
  gboolean used;

  if (!cm_media_is_used (db, key->sha256, &used, error))
    return FALSE;
  if (!used) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such media");
    return FALSE;
  }
  return cm_media_put_thumbnail (db, key, made, error) &&
         (made->state != CM_THUMBNAIL_MADE ||
          cm_media_files_place_thumbnail (store->files, file, key->sha256, kind, error));
}

gboolean
cm_media_store_keep_thumbnail (CmMediaStore *store, CmNewFile *taken, const CmThumbnailKey *key,
                               const CmThumbnailMade *made, GError **error)
{
  g_autoptr (CmNewFile) file = taken;

  if (made->state == CM_THUMBNAIL_MADE &&
      !cm_media_room_take (store->thumbnails_room, made->length, error))
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);
  if (db == NULL)
    return FALSE;
  cm_media_files_lock (store->files, key->sha256);
  gboolean kept = place_thumbnail (store, db, file, key, made, error);
  cm_media_files_unlock (store->files, key->sha256);
  return kept;
}
