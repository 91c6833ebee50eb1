#include "server/media/room.h"

#include "schema/media.h"
#include "server/media/thumbnail.h"

/* How many are forgotten at a time, and down to which part of what is allowed. */
#define FORGET_STEP 50
#define FORGET_TO   9 / 10

struct _CmMediaRoom {
  const CmMediaKind *kind;
  CmPool *pool;
  CmMediaFiles *files;
  gint64 allowed;
  GMutex making; /* held by the one thread that forgets */
  GMutex lock;
  gint64 bytes; /* the lock guards it */
};

CmMediaRoom *
cm_media_room_new (const CmMediaKind *kind, CmPool *pool, CmMediaFiles *files, gint64 allowed,
                   GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  gint64 bytes;

  if (db == NULL || !kind->measure (db, &bytes, error))
    return NULL;
  CmMediaRoom *room = g_new0 (CmMediaRoom, 1);
  room->kind = kind;
  room->pool = pool;
  room->files = files;
  room->allowed = allowed;
  room->bytes = bytes;
  g_mutex_init (&room->making);
  g_mutex_init (&room->lock);
  return room;
}

void
cm_media_room_free (CmMediaRoom *room)
{
  g_mutex_clear (&room->making);
  g_mutex_clear (&room->lock);
  g_free (room);
}

/* Counts anew first: what was counted need not have been stored, or has been deleted meanwhile. */
static gboolean
make_room (CmMediaRoom *room, gint64 coming, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (room->pool, error);
  gint64 stored, freed = 1;

  if (db == NULL || !room->kind->measure (db, &stored, error))
    return FALSE;
  gint64 surplus = stored + coming - room->allowed;
  if (surplus > 0)
    surplus = stored + coming - room->allowed * FORGET_TO;
  while (surplus > 0 && freed > 0) {
    if (!room->kind->forget (room->files, db, surplus, &freed, error))
      return FALSE;
    surplus -= freed;
    stored -= freed;
  }
  g_mutex_lock (&room->lock);
  room->bytes = stored + coming;
  g_mutex_unlock (&room->lock);
  return TRUE;
}

gboolean
cm_media_room_take (CmMediaRoom *room, gint64 bytes, GError **error)
{
  g_mutex_lock (&room->lock);
  room->bytes += bytes;
  gboolean too_much = room->bytes > room->allowed;
  g_mutex_unlock (&room->lock);

  if (!too_much || !g_mutex_trylock (&room->making))
    return TRUE;
  gboolean made = make_room (room, bytes, error);
  g_mutex_unlock (&room->making);
  return made;
}

gboolean
cm_media_drop_unused (CmMediaFiles *files, CmDb *db, const char *sha256, GError **error)
{
  gboolean used;

  if (!cm_media_is_used (db, sha256, &used, error))
    return FALSE;
  if (used)
    return TRUE;
  if (!cm_media_delete_thumbnails (db, sha256, error))
    return FALSE;
  cm_thumbnail_remove_all (files, sha256);
  cm_media_files_remove (files, sha256);
  return TRUE;
}

/* Forgets one copy; its file goes when nothing else is the same. */
static gboolean
forget_copy (CmMediaFiles *files, CmDb *db, const CmRows *rows, gsize row, GError **error)
{
  const char *sha256 = cm_rows_text (rows, row, 3);
  g_autoptr (CmNewFile) mark = cm_media_files_begin (files, sha256, error);

  if (mark == NULL)
    return FALSE;
  cm_media_files_lock (files, sha256);
  gboolean done =
      cm_media_delete (db, cm_rows_text (rows, row, 0), cm_rows_text (rows, row, 1), error) &&
      cm_media_drop_unused (files, db, sha256, error);
  cm_media_files_unlock (files, sha256);
  if (!done)
    cm_new_file_leave (g_steal_pointer (&mark));
  return done;
}

static gboolean
forget_copies (CmMediaFiles *files, CmDb *db, gint64 wanted, gint64 *freed, GError **error)
{
  g_autoptr (CmRows) rows = cm_media_oldest_remote (db, FORGET_STEP, error);

  *freed = 0;
  for (gsize i = 0; rows != NULL && i < cm_rows_count (rows) && *freed < wanted; i++) {
    if (!forget_copy (files, db, rows, i, error))
      return FALSE;
    *freed += cm_rows_integer (rows, i, 2);
  }
  return rows != NULL;
}

static gboolean
forget_thumbnails (CmMediaFiles *files, CmDb *db, gint64 wanted, gint64 *freed, GError **error)
{
  g_autoptr (CmRows) rows = cm_media_oldest_thumbnails (db, FORGET_STEP, error);

  *freed = 0;
  for (gsize i = 0; rows != NULL && i < cm_rows_count (rows) && *freed < wanted; i++) {
    const CmThumbnailKey key = { cm_rows_text (rows, i, 0), cm_rows_integer (rows, i, 1),
                                 cm_rows_integer (rows, i, 2), cm_rows_text (rows, i, 3),
                                 cm_rows_boolean (rows, i, 4) };
    g_autofree char *kind = cm_thumbnail_kind (&key);
    if (!cm_media_delete_thumbnail (db, &key, error))
      return FALSE;
    cm_media_files_remove_thumbnail (files, key.sha256, kind);
    *freed += cm_rows_integer (rows, i, 5);
  }
  return rows != NULL;
}

const CmMediaKind cm_media_kind_copies = { cm_media_remote_size, forget_copies };
const CmMediaKind cm_media_kind_thumbnails = { cm_media_thumbnails_size, forget_thumbnails };
