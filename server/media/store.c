#include "server/media/media-private.h"

#include "crypto/hash.h"
#include "server/config/config.h"
#include "server/media/header-value.h"

#include <string.h>

#define ID_LENGTH 24

/* client-server, POST media/v1/create recommends the day. */
#define RESERVED_MS  (24 * G_GINT64_CONSTANT (3600000))
#define MAX_RESERVED 20

/* A fetched file is held in memory before it is written: so many at a time, and so many of them for
 * one server. */
#define FETCH_THREADS    8
#define FETCHES_A_SERVER 3
/* Each is a process that computes. */
#define THUMBNAIL_THREADS 2
#define THUMBNAILS_A_USER 1
#define MAX_WAITING       512

/* How many copies are forgotten at a time, and down to which part of what is allowed. */
#define FORGET_STEP 50
#define FORGET_TO   9 / 10

static gint64
now_ms (void)
{
  return g_get_real_time () / 1000;
}

CmMediaStore *
cm_media_store_new (CmNode *node, GError **error)
{
  g_autoptr (CmMediaFiles) files = cm_media_files_new (node->config->media.path, error);
  g_autoptr (CmDb) db = files != NULL ? cm_pool_get (node->pool, error) : NULL;
  gint64 remote_bytes;

  if (db == NULL || !cm_media_remote_size (db, &remote_bytes, error))
    return NULL;
  CmMediaStore *store = g_new0 (CmMediaStore, 1);
  store->node = node;
  store->files = g_steal_pointer (&files);
  store->remote_bytes = remote_bytes;
  g_mutex_init (&store->lock);
  g_mutex_init (&store->making_room);
  store->fetches = cm_flights_new (FETCH_THREADS, FETCHES_A_SERVER, MAX_WAITING,
                                   cm_media_serving_fetch, cm_media_serving_resume);
  store->thumbnails = cm_flights_new (THUMBNAIL_THREADS, THUMBNAILS_A_USER, MAX_WAITING,
                                      cm_media_serving_make, cm_media_serving_resume);
  store->waits = cm_waits_new (MAX_WAITING, cm_media_serving_come);
  store->thumbnailers = cm_thumbnailers_new ();
  return store;
}

void
cm_media_store_free (CmMediaStore *store)
{
  if (store == NULL)
    return;
  cm_thumbnailers_stop (store->thumbnailers);
  /* In this order: who has waited may want to fetch, who has fetched may want a thumbnail. */
  cm_waits_free (store->waits);
  cm_flights_free (store->fetches);
  cm_flights_free (store->thumbnails);
  cm_thumbnailers_free (store->thumbnailers);
  cm_media_files_free (store->files);
  g_mutex_clear (&store->lock);
  g_mutex_clear (&store->making_room);
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
  g_autoptr (CmNewFile) file = cm_media_files_begin (store->files, error);
  if (file == NULL || !cm_new_file_write (file, content, error))
    return FALSE;
  /* The connection first: who holds a lock of the files waits for nothing else. */
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);
  if (db == NULL)
    return FALSE;
  cm_media_files_lock (store->files, media->sha256);
  gboolean stored = cm_media_files_place (store->files, file, media->sha256, error) &&
                    record (db, media, now_ms (), error);
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

char *
cm_media_store_upload (CmMediaStore *store, const CmUpload *upload, GError **error)
{
  g_autofree char *media_id = cm_random_token (ID_LENGTH);
  const char *server = store->node->server_name;
  g_autoptr (CmMedia) media = media_of_upload (server, media_id, upload);

  if (!store_file (store, media, upload->content, cm_media_insert, error))
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

  if (there == NULL || !may_fulfil (there, upload->uploader, error))
    return FALSE;
  g_autoptr (CmMedia) media = media_of_upload (server, media_id, upload);
  if (!store_file (store, media, upload->content, cm_media_fulfil, error))
    return FALSE;
  cm_waits_come (store->waits, media_id);
  return TRUE;
}

/* Forgets one copy; its file goes when nothing else is the same. */
static gboolean
forget (CmMediaStore *store, CmDb *db, const char *server, const char *media_id, const char *sha256,
        GError **error)
{
  gboolean used = TRUE;

  cm_media_files_lock (store->files, sha256);
  gboolean done =
      cm_media_delete (db, server, media_id, error) && cm_media_is_used (db, sha256, &used, error);
  if (!used) {
    done = done && cm_media_delete_thumbnails (db, sha256, error);
    cm_thumbnail_remove_all (store->files, sha256);
    cm_media_files_remove (store->files, sha256);
  }
  cm_media_files_unlock (store->files, sha256);
  return done;
}

static gint64
count_remote (CmMediaStore *store, gint64 more)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->lock);

  return store->remote_bytes += more;
}

/* The copies longest unused, until there is some room again. One thread at a time does it. */
static gboolean
make_room (CmMediaStore *store, gint64 allowed, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (store->node->pool, error);
  gint64 target = allowed * FORGET_TO;

  while (db != NULL && count_remote (store, 0) > target) {
    g_autoptr (CmRows) rows = cm_media_oldest_remote (db, FORGET_STEP, error);
    if (rows == NULL || cm_rows_count (rows) == 0)
      return rows != NULL;
    for (gsize i = 0; i < cm_rows_count (rows) && count_remote (store, 0) > target; i++) {
      if (!forget (store, db, cm_rows_text (rows, i, 0), cm_rows_text (rows, i, 1),
                   cm_rows_text (rows, i, 3), error))
        return FALSE;
      count_remote (store, -cm_rows_integer (rows, i, 2));
    }
  }
  return db != NULL;
}

gboolean
cm_media_store_keep (CmMediaStore *store, const char *server, const char *media_id,
                     CmFilePart *part, GError **error)
{
  gint64 allowed = store->node->config->media.remote_cache;
  const CmUpload upload = { NULL, part->content_type, part->file_name, part->content };
  g_autoptr (CmMedia) media = media_of_upload (server, media_id, &upload);

  if (count_remote (store, (gint64) g_bytes_get_size (part->content)) > allowed &&
      g_mutex_trylock (&store->making_room)) {
    gboolean made = make_room (store, allowed, error);
    g_mutex_unlock (&store->making_room);
    if (!made)
      return FALSE;
  }
  return store_file (store, media, part->content, cm_media_insert, error);
}
