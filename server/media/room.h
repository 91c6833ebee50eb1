/* What may be forgotten because it can be had again, and takes so much room at most: copies of
 * other servers' files, and thumbnails. */
#pragma once

#include "server/media/files.h"

#include "schema/db.h"

G_BEGIN_DECLS

typedef struct _CmMediaRoom CmMediaRoom;

/* What is kept in it. */
typedef struct {
  gboolean (*measure) (CmDb *db, gint64 *bytes, GError **error);
  /* Forgets the oldest until @wanted bytes are free; @freed gets how many are, fewer when it is not
   * all at once, 0 when there is nothing left. */
  gboolean (*forget) (CmMediaFiles *files, CmDb *db, gint64 wanted, gint64 *freed, GError **error);
} CmMediaKind;

extern const CmMediaKind cm_media_kind_copies;
extern const CmMediaKind cm_media_kind_thumbnails;

/* Room for @allowed bytes. Borrows all that it is given. */
CmMediaRoom *cm_media_room_new (const CmMediaKind *kind, CmPool *pool, CmMediaFiles *files,
                                gint64 allowed, GError **error);
void cm_media_room_free (CmMediaRoom *room);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMediaRoom, cm_media_room_free)
/* Counts @bytes that are going to be stored, and forgets others when that is too much. */
gboolean cm_media_room_take (CmMediaRoom *room, gint64 bytes, GError **error);

/* Removes the file @sha256 and what was made of it, unless an id has it. The lock is held. */
gboolean cm_media_drop_unused (CmMediaFiles *files, CmDb *db, const char *sha256, GError **error);

G_END_DECLS
