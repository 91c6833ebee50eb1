#include "server/media/thumbnail.h"

#include "server/media/image-type.h"
#include "server/media/thumbnail-worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far more than any image takes that is not too large. The clock is here and not in the worker,
 * which an image may have got into its hands. */
#define MAX_WALL_MS 20000

/* Those of client-server, "Thumbnails", and more for large and dense screens. In order of size for
 * each method. */
static const struct {
  gint64 width;
  gint64 height;
  const char *method;
} sizes[] = {
  { 32, 32, "crop" },    { 96, 96, "crop" },     { 320, 320, "crop" },    { 640, 640, "crop" },
  { 800, 800, "crop" },  { 1600, 1600, "crop" }, { 4096, 4096, "crop" },  { 320, 240, "scale" },
  { 640, 480, "scale" }, { 800, 600, "scale" },  { 1600, 1200, "scale" }, { 4096, 4096, "scale" },
};

struct _CmThumbnailers {
  GMutex lock;
  GHashTable *pids; /* of those that run */
  gboolean stopped;
};

gboolean
cm_thumbnail_choose (gint64 width, gint64 height, const char *method, gboolean animated,
                     CmThumbnailKey *key, GError **error)
{
  gsize chosen = G_N_ELEMENTS (sizes);

  if (method == NULL)
    method = "scale";
  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++) {
    if (strcmp (sizes[i].method, method) != 0)
      continue;
    chosen = i;
    if (sizes[i].width >= width && sizes[i].height >= height)
      break;
  }
  if (chosen == G_N_ELEMENTS (sizes)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "method is crop or scale");
    return FALSE;
  }
  key->width = sizes[chosen].width;
  key->height = sizes[chosen].height;
  key->method = sizes[chosen].method;
  key->animated = animated;
  return TRUE;
}

char *
cm_thumbnail_kind (const CmThumbnailKey *key)
{
  return g_strdup_printf ("%dx%d-%s%s", (int) key->width, (int) key->height, key->method,
                          key->animated ? "-animated" : "");
}

void
cm_thumbnail_remove_all (CmMediaFiles *files, const char *sha256)
{
  for (gsize i = 0; i < 2 * G_N_ELEMENTS (sizes); i++) {
    const CmThumbnailKey key = { sha256, sizes[i / 2].width, sizes[i / 2].height,
                                 sizes[i / 2].method, i % 2 };
    g_autofree char *kind = cm_thumbnail_kind (&key);
    cm_media_files_remove_thumbnail (files, sha256, kind);
  }
}

CmThumbnailers *
cm_thumbnailers_new (void)
{
  CmThumbnailers *thumbnailers = g_new0 (CmThumbnailers, 1);

  g_mutex_init (&thumbnailers->lock);
  thumbnailers->pids = g_hash_table_new (NULL, NULL);
  return thumbnailers;
}

void
cm_thumbnailers_stop (CmThumbnailers *thumbnailers)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&thumbnailers->lock);
  GHashTableIter iter;
  gpointer pid;

  thumbnailers->stopped = TRUE;
  g_hash_table_iter_init (&iter, thumbnailers->pids);
  while (g_hash_table_iter_next (&iter, &pid, NULL))
    kill (GPOINTER_TO_INT (pid), SIGKILL);
}

void
cm_thumbnailers_free (CmThumbnailers *thumbnailers)
{
  g_hash_table_unref (thumbnailers->pids);
  g_mutex_clear (&thumbnailers->lock);
  g_free (thumbnailers);
}

/* Starts the worker between two files. It gets no other descriptors, and of the
 * environment nothing but that libvips is to keep images in memory. */
static gboolean
spawn (CmThumbnailers *thumbnailers, const CmThumbnailKey *key, int from, int to, GPid *pid,
       GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&thumbnailers->lock);
  g_autofree char *width = g_strdup_printf ("%d", (int) key->width);
  g_autofree char *height = g_strdup_printf ("%d", (int) key->height);
  const char *const arguments[] = { "/proc/self/exe",
                                    "thumbnail-worker",
                                    width,
                                    height,
                                    key->method,
                                    key->animated ? "animated" : "still",
                                    NULL };
  const char *const environment[] = { "LANG=C.UTF-8", "VIPS_DISC_THRESHOLD=1g", NULL };

  if (thumbnailers->stopped) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The server is stopping");
    return FALSE;
  }
  if (!g_spawn_async_with_pipes_and_fds (
          "/", arguments, environment, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
          NULL, from, to, -1, NULL, NULL, 0, pid, NULL, NULL, NULL, error))
    return FALSE;
  g_hash_table_add (thumbnailers->pids, GINT_TO_POINTER (*pid));
  return TRUE;
}

/* Kills @pid when it does not end in time. */
static void
watch (GPid pid)
{
  int fd = pidfd_open (pid, 0);
  struct pollfd watched = { .fd = fd, .events = POLLIN };
  gint64 deadline_us = g_get_monotonic_time () + MAX_WALL_MS * G_TIME_SPAN_MILLISECOND;
  int ended = 0;

  while (fd >= 0 && ended == 0) {
    gint64 left_ms = (deadline_us - g_get_monotonic_time ()) / G_TIME_SPAN_MILLISECOND;
    if (left_ms <= 0)
      break;
    ended = poll (&watched, 1, (int) left_ms);
    if (ended < 0 && errno == EINTR)
      ended = 0;
  }
  if (ended <= 0)
    kill (pid, SIGKILL);
  if (fd >= 0)
    close (fd);
}

/* Waits for @pid, which nobody may kill any more once its number is free for others. */
static int
wait_for (CmThumbnailers *thumbnailers, GPid pid)
{
  siginfo_t info;
  int status = 0;

  watch (pid);
  while (waitid (P_PID, (id_t) pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
    continue;
  g_mutex_lock (&thumbnailers->lock);
  g_hash_table_remove (thumbnailers->pids, GINT_TO_POINTER (pid));
  g_mutex_unlock (&thumbnailers->lock);
  waitpid (pid, &status, 0);
  return status;
}

/* Killed by the clock or by the end of the node, it may succeed another time; all other deaths are
 * the image's doing, and would be repeated. */
static gboolean
judge (int status, CmThumbnailState *state, GError **error)
{
  if (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The thumbnail took too long");
    return FALSE;
  }
  if (WIFEXITED (status) && WEXITSTATUS (status) == CM_THUMBNAIL_WORKER_UNABLE) {
    g_warning ("the thumbnail worker cannot start; is libvips42 installed?");
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "No thumbnails can be made now");
    return FALSE;
  }
  if (WIFEXITED (status) && WEXITSTATUS (status) == 0)
    *state = CM_THUMBNAIL_MADE;
  else if (WIFEXITED (status) && WEXITSTATUS (status) == CM_THUMBNAIL_WORKER_TOO_LARGE)
    *state = CM_THUMBNAIL_TOO_LARGE;
  else
    *state = CM_THUMBNAIL_IMPOSSIBLE;
  return TRUE;
}

static const char *
type_of_file (int fd)
{
  guint8 magic[CM_IMAGE_MAGIC];

  if (pread (fd, magic, sizeof magic, 0) != sizeof magic)
    return NULL;
  return cm_image_type_name (cm_image_type (magic, sizeof magic));
}

static gboolean
run_worker (CmThumbnailers *thumbnailers, const CmThumbnailKey *key, int from, int to,
            CmThumbnailState *state, GError **error)
{
  GPid pid;

  if (!spawn (thumbnailers, key, from, to, &pid, error))
    return FALSE;
  int status = wait_for (thumbnailers, pid);
  if (status != 0)
    g_debug ("no thumbnail of %s: the worker ended with status %#x", key->sha256, (guint) status);
  return judge (status, state, error);
}

/* What the worker wrote is believed as little as what a client uploads. */
static void
judge_output (int fd, CmThumbnailMade *made)
{
  made->content_type = type_of_file (fd);
  made->length = lseek (fd, 0, SEEK_END);
  if (made->content_type == NULL)
    made->state = CM_THUMBNAIL_IMPOSSIBLE;
}

CmNewFile *
cm_thumbnail_make (CmThumbnailers *thumbnailers, const CmMediaFiles *files,
                   const CmThumbnailKey *key, CmThumbnailMade *made, GError **error)
{
  guint64 length;
  int from = cm_media_files_open (files, key->sha256, &length, error);

  if (from < 0)
    return NULL;
  g_autoptr (CmNewFile) file = cm_media_files_begin (files, key->sha256, error);
  made->state = CM_THUMBNAIL_IMPOSSIBLE;
  gboolean tried = file != NULL;
  if (tried && type_of_file (from) != NULL)
    tried = run_worker (thumbnailers, key, from, file->fd, &made->state, error);
  close (from);
  if (!tried)
    return NULL;
  if (made->state == CM_THUMBNAIL_MADE)
    judge_output (file->fd, made);
  return g_steal_pointer (&file);
}
