/* The folder of files. Each is named by the SHA-256 of what it holds, never by anything that came
 * from outside, and stored once however often it is uploaded. Thumbnails lie beside, named by their
 * original. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct _CmMediaFiles CmMediaFiles;

/* Makes what is missing below @path. */
CmMediaFiles *cm_media_files_new (const char *path, GError **error);
void cm_media_files_free (CmMediaFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMediaFiles, cm_media_files_free)

/* A file under way: nobody finds it before it is put in its place. As long as it is not freed, it
 * is also a mark that what is stored as @sha256 may be in disorder, should the node end now. */
typedef struct {
  char *path;
  int fd;
} CmNewFile;

CmNewFile *cm_media_files_begin (const CmMediaFiles *files, const char *sha256, GError **error);
void cm_new_file_free (CmNewFile *file);
/* Frees it and leaves the mark. */
void cm_new_file_leave (CmNewFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmNewFile, cm_new_file_free)
/* Has @settle look at each hash that is marked, and removes the marks; before anything else. */
typedef gboolean (*CmMediaSettle) (const char *sha256, gpointer data, GError **error);
gboolean cm_media_files_settle (const CmMediaFiles *files, CmMediaSettle settle, gpointer data,
                                GError **error);
/* Writes @data to the disk itself. */
gboolean cm_new_file_write (CmNewFile *file, GBytes *data, GError **error);
/* Puts it in the place of @sha256, where the same may be already; on the disk before it returns.
 * Whoever puts and removes holds the lock of that hash. */
gboolean cm_media_files_place (const CmMediaFiles *files, CmNewFile *file, const char *sha256,
                               GError **error);
void cm_media_files_lock (CmMediaFiles *files, const char *sha256);
void cm_media_files_unlock (CmMediaFiles *files, const char *sha256);
/* A descriptor for reading, its @length; CM_ERROR_NOT_FOUND. */
int cm_media_files_open (const CmMediaFiles *files, const char *sha256, guint64 *length,
                         GError **error);
void cm_media_files_remove (const CmMediaFiles *files, const char *sha256);

/* The same for thumbnails; @kind tells those of one original apart ("96x96-crop"). They can be made
 * again, so that nobody waits for the disk. */
gboolean cm_media_files_place_thumbnail (const CmMediaFiles *files, CmNewFile *file,
                                         const char *sha256, const char *kind, GError **error);
int cm_media_files_open_thumbnail (const CmMediaFiles *files, const char *sha256, const char *kind,
                                   guint64 *length, GError **error);
void
cm_media_files_remove_thumbnail (const CmMediaFiles *files, const char *sha256, const char *kind);

G_END_DECLS
