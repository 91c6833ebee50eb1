#include "server/media/thumbnail-worker.h"

#include "server/media/confine.h"
#include "server/media/image-type.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

/* What a decoded image, all its frames together, may take. */
#define MAX_DECODED ((guint64) 256 << 20)
#define MAX_FRAMES  1000
#define ALL_FRAMES  "[n=-1]"

/* Libvips comes with a hundred other libraries. It is loaded here and not linked, so that the node,
 * which is the same program, has none of them in its address space. */
#define LIBVIPS "libvips.so.42"
#define FUNCTIONS(X)                                                                               \
  X (vips_init)                                                                                    \
  X (vips_concurrency_set)                                                                         \
  X (vips_operation_block_set)                                                                     \
  X (vips_image_new_from_buffer)                                                                   \
  X (vips_image_get_width)                                                                         \
  X (vips_image_get_height)                                                                        \
  X (vips_image_get_bands)                                                                         \
  X (vips_image_get_format)                                                                        \
  X (vips_image_get_page_height)                                                                   \
  X (vips_image_get_n_pages)                                                                       \
  X (vips_image_hasalpha)                                                                          \
  X (vips_format_sizeof)                                                                           \
  X (vips_thumbnail_buffer)                                                                        \
  X (vips_extract_area)                                                                            \
  X (vips_arrayjoin)                                                                               \
  X (vips_image_set_int)                                                                           \
  X (vips_jpegsave_buffer)                                                                         \
  X (vips_pngsave_buffer)                                                                          \
  X (vips_webpsave_buffer)

typedef struct {
#define MEMBER(name) typeof (name) *name;
  FUNCTIONS (MEMBER)
#undef MEMBER
} Vips;

typedef struct {
  int width;
  int height;
  gboolean crop;
  gboolean animated;
  int scaled_width, scaled_height; /* of frames that will be cropped */
  CmImageType type;
  void *data;
  gsize length;
} Job;

static gboolean
load (Vips *vips)
{
  void *library = dlopen (LIBVIPS, RTLD_NOW | RTLD_LOCAL);

  if (library == NULL)
    return FALSE;
#define LOAD(name)                                                                                 \
  vips->name = (typeof (vips->name)) dlsym (library, #name);                                       \
  if (vips->name == NULL)                                                                          \
    return FALSE;
  FUNCTIONS (LOAD)
#undef LOAD
  return TRUE;
}

/* Leaves the four decoders that are wanted, of the dozens that there are. */
static gboolean
start (Vips *vips)
{
  static const char *const decoders[] = {
    "VipsForeignLoadPng",
    "VipsForeignLoadJpeg",
    "VipsForeignLoadNsgif",
    "VipsForeignLoadWebp",
  };

  if (!load (vips) || vips->vips_init ("comity") != 0)
    return FALSE;
  vips->vips_concurrency_set (1);
  vips->vips_operation_block_set ("VipsForeignLoad", TRUE);
  for (gsize i = 0; i < G_N_ELEMENTS (decoders); i++)
    vips->vips_operation_block_set (decoders[i], FALSE);
  return TRUE;
}

static gboolean
read_input (Job *job)
{
  struct stat status;

  if (fstat (STDIN_FILENO, &status) != 0 || status.st_size < CM_IMAGE_MAGIC)
    return FALSE;
  job->length = (gsize) status.st_size;
  job->data = mmap (NULL, job->length, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
  if (job->data == MAP_FAILED)
    return FALSE;
  job->type = cm_image_type (job->data, job->length);
  return job->type != CM_IMAGE_NONE;
}

/* Whether @image is a row of frames. */
static gboolean
has_frames (const Vips *vips, VipsImage *image)
{
  return vips->vips_image_get_page_height (image) < vips->vips_image_get_height (image);
}

static int
judge_size (const Vips *vips, VipsImage *image)
{
  guint64 bytes = (guint64) vips->vips_image_get_width (image) *
                  (guint64) vips->vips_image_get_height (image) *
                  (guint64) vips->vips_image_get_bands (image) *
                  vips->vips_format_sizeof (vips->vips_image_get_format (image));

  if (bytes > MAX_DECODED)
    return CM_THUMBNAIL_WORKER_TOO_LARGE;
  if (has_frames (vips, image) && vips->vips_image_get_n_pages (image) > MAX_FRAMES)
    return CM_THUMBNAIL_WORKER_TOO_LARGE;
  return EXIT_SUCCESS;
}

/* Makes the width and height that an image of such frames is to be scaled to, so that each covers
 * what is wanted. */
static void
cover (Job *job, int width, int height)
{
  double scale = MIN (1, MAX ((double) job->width / width, (double) job->height / height));

  job->scaled_width = MAX (1, (int) (width * scale + 0.5));
  job->scaled_height = MAX (1, (int) (height * scale + 0.5));
}

/* Reads the head alone, before anything is decoded. */
static int
measure (const Vips *vips, Job *job)
{
  gboolean may_move = job->type == CM_IMAGE_GIF || job->type == CM_IMAGE_WEBP;

  job->animated = job->animated && may_move;
  VipsImage *image = vips->vips_image_new_from_buffer (job->data, job->length,
                                                       job->animated ? ALL_FRAMES : "", NULL);
  if (image == NULL)
    return EXIT_FAILURE;
  job->animated = has_frames (vips, image);
  cover (job, vips->vips_image_get_width (image), vips->vips_image_get_page_height (image));
  int status = judge_size (vips, image);
  g_object_unref (image);
  return status;
}

/* (transfer full) the middle of each frame of @image (taken). */
static VipsImage *
crop_frames (const Vips *vips, const Job *job, VipsImage *image)
{
  int frame_width = vips->vips_image_get_width (image);
  int frame_height = vips->vips_image_get_page_height (image);
  int n = vips->vips_image_get_height (image) / frame_height;
  int width = MIN (job->width, frame_width), height = MIN (job->height, frame_height);
  g_autoptr (GPtrArray) frames = g_ptr_array_new_with_free_func (g_object_unref);
  VipsImage *frame, *joined = NULL;

  for (int i = 0; i < n; i++)
    if (vips->vips_extract_area (image, &frame, (frame_width - width) / 2,
                                 i * frame_height + (frame_height - height) / 2, width, height,
                                 NULL) == 0)
      g_ptr_array_add (frames, frame);
  g_object_unref (image);
  if ((int) frames->len < n ||
      vips->vips_arrayjoin ((VipsImage **) frames->pdata, &joined, n, "across", 1, NULL) != 0)
    return NULL;
  vips->vips_image_set_int (joined, VIPS_META_PAGE_HEIGHT, height);
  return joined;
}

/* (transfer full) */
static VipsImage *
shrink (const Vips *vips, const Job *job)
{
  VipsImage *image = NULL;
  gboolean by_frame = job->animated && job->crop;
  int failed;

  /* Cutting, the library would take a row of frames for one picture. */
  if (by_frame)
    failed = vips->vips_thumbnail_buffer (job->data, job->length, &image, job->scaled_width,
                                          "height", job->scaled_height, "size", VIPS_SIZE_FORCE,
                                          "option_string", ALL_FRAMES, NULL);
  else
    failed = vips->vips_thumbnail_buffer (
        job->data, job->length, &image, job->width, "height", job->height, "size", VIPS_SIZE_DOWN,
        "crop", job->crop ? VIPS_INTERESTING_CENTRE : VIPS_INTERESTING_NONE, "option_string",
        job->animated ? ALL_FRAMES : "", NULL);
  if (failed != 0)
    return NULL;
  return by_frame ? crop_frames (vips, job, image) : image;
}

static int
save (const Vips *vips, const Job *job, VipsImage *image, void **data, gsize *length)
{
  gboolean is_opaque = job->type == CM_IMAGE_JPEG ||
                       (job->type == CM_IMAGE_WEBP && !vips->vips_image_hasalpha (image));

  if (job->animated)
    return vips->vips_webpsave_buffer (image, data, length, "Q", 75, "strip", TRUE, NULL);
  if (is_opaque)
    return vips->vips_jpegsave_buffer (image, data, length, "Q", 80, "strip", TRUE, NULL);
  return vips->vips_pngsave_buffer (image, data, length, "strip", TRUE, NULL);
}

static gboolean
write_output (const char *data, gsize length)
{
  while (length > 0) {
    gssize written = write (STDOUT_FILENO, data, length);
    if (written <= 0)
      return FALSE;
    data += written;
    length -= (gsize) written;
  }
  return TRUE;
}

/* Always decoded and encoded anew, even where nothing has to shrink: what is served as an image is
 * one, and tells nothing of where a photograph was taken. */
static int
make (const Vips *vips, Job *job)
{
  g_autofree void *data = NULL;
  gsize length;

  int status = measure (vips, job);
  if (status != EXIT_SUCCESS)
    return status;
  VipsImage *image = shrink (vips, job);
  if (image == NULL)
    return EXIT_FAILURE;
  int failed = save (vips, job, image, &data, &length);
  g_object_unref (image);
  return failed == 0 && write_output (data, length) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
cm_thumbnail_worker (int argc, char **argv)
{
  Job job = { 0 };
  Vips vips;

  if (!cm_confine_resources () || argc != 5)
    return CM_THUMBNAIL_WORKER_UNABLE;
  job.width = (int) g_ascii_strtoll (argv[1], NULL, 10);
  job.height = (int) g_ascii_strtoll (argv[2], NULL, 10);
  job.crop = strcmp (argv[3], "crop") == 0;
  job.animated = strcmp (argv[4], "animated") == 0;
  if (!start (&vips) || !cm_confine_calls ())
    return CM_THUMBNAIL_WORKER_UNABLE;
  if (!read_input (&job))
    return EXIT_FAILURE;
  /* Without what a hundred libraries do at the end: all that is wanted is written. */
  _exit (make (&vips, &job));
}
