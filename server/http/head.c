#include "server/http/head.h"

#include <string.h>

#define MAX_HEADERS 100

typedef struct {
  const char *name;
  const char *value;
  size_t name_length, value_length;
} RawHeader;

typedef struct {
  RawHeader items[MAX_HEADERS];
  guint n;
  gboolean too_many;
} RawHeaders;

/* The headers on which framing, routing or decoding hang: at most one of each. */
typedef struct {
  const RawHeader *host;
  const RawHeader *length;
  const RawHeader *coding;
  const RawHeader *content_coding;
  gboolean repeated;
} Singles;

static enum MHD_Result
collect (void *data, enum MHD_ValueKind kind, const char *name, size_t name_length,
         const char *value, size_t value_length)
{
  RawHeaders *raw = data;

  if (raw->n == MAX_HEADERS) {
    raw->too_many = TRUE;
    return MHD_NO;
  }
  raw->items[raw->n++] = (RawHeader){ name, value != NULL ? value : "", name_length, value_length };
  return MHD_YES;
}

static CmReply *
bad_request (const char *message)
{
  return cm_reply_error_status (400, cm_error_errcode (CM_ERROR_UNKNOWN), message);
}

/* RFC 9110, 5.6.2 */
static gboolean
is_token (const char *text, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (text[i]) && (text[i] == '\0' || !strchr ("!#$%&'*+-.^_`|~", text[i])))
      return FALSE;
  return length > 0;
}

/* RFC 9110, 5.5: no control characters but HTAB */
static gboolean
is_field_value (const char *text, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (text[i] != '\t' && g_ascii_iscntrl (text[i]))
      return FALSE;
  return TRUE;
}

/* libmicrohttpd 0.9.75 lets pass lines that end in a bare LF, folded lines, NUL in values and
 * several spaces, and drops them without a trace. But it parses in place: what it hands over points
 * into the head as it arrived, and where that is not as tight as RFC 9112 wants it, something was
 * dropped. */
static gboolean
is_tight (struct MHD_Connection *mhd, const char *method, const char *target, gsize target_length,
          const char *version, const RawHeaders *raw)
{
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info (mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  const char *p = method + strlen (method) + 1;

  if (info == NULL || target != p || version != p + target_length + 1)
    return FALSE;
  p = version + strlen ("HTTP/1.1") + 2;
  for (guint i = 0; i < raw->n; i++) {
    const RawHeader *item = &raw->items[i];
    if (item->name != p)
      return FALSE;
    p += item->name_length + 1;
    while (p < item->value && (*p == ' ' || *p == '\t'))
      p++;
    if (item->value != p)
      return FALSE;
    p += item->value_length + 2;
  }
  return p + 2 == method + info->header_size;
}

static gboolean
is_named (const RawHeader *item, const char *name)
{
  return item->name_length == strlen (name) &&
         g_ascii_strncasecmp (item->name, name, item->name_length) == 0;
}

static gboolean
has_value (const RawHeader *item, const char *value)
{
  return item->value_length == strlen (value) &&
         g_ascii_strncasecmp (item->value, value, item->value_length) == 0;
}

static Singles
find_singles (const RawHeaders *raw)
{
  Singles singles = { NULL, NULL, NULL, NULL, FALSE };
  const struct {
    const char *name;
    const RawHeader **item;
  } names[] = {
    { "Host", &singles.host },
    { "Content-Length", &singles.length },
    { "Transfer-Encoding", &singles.coding },
    { "Content-Encoding", &singles.content_coding },
  };

  for (guint i = 0; i < raw->n; i++)
    for (guint j = 0; j < G_N_ELEMENTS (names); j++)
      if (is_named (&raw->items[i], names[j].name)) {
        singles.repeated |= *names[j].item != NULL;
        *names[j].item = &raw->items[i];
      }
  return singles;
}

/* A name or an address, perhaps with a port; no path, no user, no list. */
static gboolean
is_host (const RawHeader *item)
{
  for (gsize i = 0; i < item->value_length; i++)
    if (!g_ascii_isalnum (item->value[i]) && !strchr (".-_:[]", item->value[i]))
      return FALSE;
  return item->value_length > 0;
}

/* Saturates: what is too large is for the limits to say. */
static gboolean
read_length (const RawHeader *item, guint64 *length)
{
  for (gsize i = 0; i < item->value_length; i++) {
    if (!g_ascii_isdigit (item->value[i]))
      return FALSE;
    *length = *length > G_MAXUINT64 / 10 - 1 ? G_MAXUINT64
                                             : *length * 10 + (guint64) (item->value[i] - '0');
  }
  return item->value_length > 0;
}

/* RFC 9112, 6.1 and 6.3 */
static const char *
check_framing (const Singles *singles, gboolean http_1_0, CmHead *head)
{
  head->chunked = singles->coding != NULL;
  head->has_body = head->chunked || singles->length != NULL;
  if (singles->repeated)
    return "A header that may stand once is repeated";
  if (singles->coding != NULL && singles->length != NULL)
    return "Transfer-Encoding with Content-Length";
  if (singles->coding != NULL && (http_1_0 || !has_value (singles->coding, "chunked")))
    return "Unknown Transfer-Encoding";
  if (singles->length != NULL && !read_length (singles->length, &head->length))
    return "Invalid Content-Length";
  if (singles->host == NULL ? !http_1_0 : !is_host (singles->host))
    return "Invalid Host";
  head->has_body = head->chunked || head->length > 0;
  return NULL;
}

static const char *
check_syntax (const RawHeaders *raw, const char *target)
{
  for (guint i = 0; i < raw->n; i++)
    if (!is_token (raw->items[i].name, raw->items[i].name_length) ||
        !is_field_value (raw->items[i].value, raw->items[i].value_length))
      return "Invalid header";
  /* Origin form only: the host of an absolute one would be a second truth beside Host. */
  if (*target != '/')
    return "Invalid request target";
  for (const char *p = target; *p != '\0'; p++)
    if (*p <= ' ' || *p >= 0x7f)
      return "Invalid request target";
  return NULL;
}

static void
copy_headers (CmCall *call, const RawHeaders *raw)
{
  gsize size = raw->n * sizeof (CmPair);

  for (guint i = 0; i < raw->n; i++)
    size += raw->items[i].name_length + raw->items[i].value_length + 2;
  call->headers = g_malloc (size);
  call->n_headers = raw->n;

  char *out = (char *) (call->headers + raw->n);
  for (guint i = 0; i < raw->n; i++) {
    const RawHeader *item = &raw->items[i];
    gsize length = item->value_length;

    while (length > 0 && (item->value[length - 1] == ' ' || item->value[length - 1] == '\t'))
      length--;
    call->headers[i].name = out;
    out = (char *) memcpy (out, item->name, item->name_length) + item->name_length;
    *out++ = '\0';
    call->headers[i].value = out;
    out = (char *) memcpy (out, item->value, length) + length;
    *out++ = '\0';
  }
}

/* NULL for a method that nobody here knows. */
static const char *
intern_method (const char *method)
{
  static const char *const methods[] = { "GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD" };

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    if (strcmp (method, methods[i]) == 0)
      return methods[i];
  return NULL;
}

CmReply *
cm_head_read (CmCall *call, struct MHD_Connection *mhd, const char *method, const char *target,
              const char *version, CmHead *head)
{
  RawHeaders raw;
  const char *problem;

  raw.n = 0;
  raw.too_many = FALSE;
  MHD_get_connection_values_n (mhd, MHD_HEADER_KIND, collect, &raw);
  *head = (CmHead){ 0, TRUE, TRUE };
  if (raw.too_many)
    return cm_reply_error_status (431, cm_error_errcode (CM_ERROR_TOO_LARGE), "Too many headers");
  if (!is_tight (mhd, method, target, strlen (call->target), version, &raw))
    return bad_request ("Malformed request head");

  Singles singles = find_singles (&raw);
  if ((problem = check_framing (&singles, strcmp (version, "HTTP/1.0") == 0, head)) != NULL ||
      (problem = check_syntax (&raw, call->target)) != NULL)
    return bad_request (problem);
  if (singles.content_coding != NULL && !has_value (singles.content_coding, "identity"))
    return cm_reply_error_status (415, cm_error_errcode (CM_ERROR_UNKNOWN),
                                  "Content-Encoding is not supported");
  copy_headers (call, &raw);
  call->method = intern_method (method);
  if (call->method == NULL) {
    call->method = "";
    return cm_reply_error_status (405, cm_error_errcode (CM_ERROR_WRONG_METHOD), "Unknown method");
  }
  return NULL;
}
