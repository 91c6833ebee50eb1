/* Thumbnails, of a few sizes only, each made once by a process of its own (thumbnail-worker.c). */
#pragma once

#include "schema/media.h"
#include "server/media/files.h"

G_BEGIN_DECLS

/* Reads a client's wish into @key, as the size to be served: the smallest that is large enough, so
 * that asking for every size there is fills no disk. @method is nullable. CM_ERROR_INVALID_PARAM.
 */
gboolean cm_thumbnail_choose (gint64 width, gint64 height, const char *method, gboolean animated,
                              CmThumbnailKey *key, GError **error);

/* (transfer full) what tells the files of thumbnails of one original apart. */
char *cm_thumbnail_kind (const CmThumbnailKey *key);
/* Removes the files of all thumbnails of @sha256. */
void cm_thumbnail_remove_all (CmMediaFiles *files, const char *sha256);

/* The processes that run, so that the end of the node need not wait for them. */
typedef struct _CmThumbnailers CmThumbnailers;
CmThumbnailers *cm_thumbnailers_new (void);
/* Ends those that run, and none starts any more. */
void cm_thumbnailers_stop (CmThumbnailers *thumbnailers);
void cm_thumbnailers_free (CmThumbnailers *thumbnailers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmThumbnailers, cm_thumbnailers_free)

/* Makes the thumbnail, and fills @made but for its time. (transfer full) its file, still to be put
 * in its place; for all states but CM_THUMBNAIL_MADE it is empty. Blocking, some seconds at the
 * worst. An error says that it could not be tried or that time was up, and that it might succeed
 * later. */
CmNewFile *cm_thumbnail_make (CmThumbnailers *thumbnailers, const CmMediaFiles *files,
                              const CmThumbnailKey *key, CmThumbnailMade *made, GError **error);

G_END_DECLS
