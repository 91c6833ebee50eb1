#include "server/http/call-private.h"

#include "server/http/conn.h"
#include "server/http/percent.h"

#include <string.h>

typedef struct {
  CmCallGone func;
  gpointer data;
} GoneFunc;

void
cm_requester_free (CmRequester *requester)
{
  if (requester == NULL)
    return;
  g_free (requester->user_id);
  g_free (requester->device_id);
  g_free (requester->appservice);
  g_free (requester->origin);
  g_free (requester);
}

CmCall *
cm_call_new (CmLoop *loop, CmNode *node, CmServe serve, const char *target)
{
  CmCall *call = g_new0 (CmCall, 1);

  call->refs = 1;
  call->loop = loop != NULL ? cm_loop_ref (loop) : NULL;
  call->node = node;
  call->serve = serve;
  call->started_us = g_get_monotonic_time ();
  call->target = g_strdup (target);
  call->path_length = strcspn (call->target, "?");
  call->method = "";
  return call;
}

CmCall *
cm_call_new_inside (CmNode *node, const char *method, const char *target, GBytes *body,
                    CmCallAnswered answered, gpointer data)
{
  CmCall *call = cm_call_new (NULL, node, CM_SERVE_CLIENT, target);

  call->method = g_intern_string (method);
  call->address = g_strdup ("127.0.0.1");
  call->body = body != NULL ? g_bytes_ref (body) : NULL;
  call->answered = answered;
  call->answered_data = data;
  return call;
}

void
cm_call_forget_doc (CmCall *call)
{
  g_clear_pointer (&call->doc, cm_json_doc_unref);
  cm_charge_return (&call->doc_charge);
}

static void
call_free (CmCall *call)
{
  if (call->answered != NULL && call->reply == NULL)
    call->answered (call, call->answered_data);
  g_free (call->target);
  g_free (call->address);
  g_free (call->headers);
  g_free (call->query);
  g_free (call->params);
  g_clear_pointer (&call->body, g_bytes_unref);
  cm_charge_return (&call->body_charge);
  cm_call_forget_doc (call);
  cm_requester_free (call->requester);
  cm_reply_free (call->reply);
  g_slist_free_full (call->gone_funcs, g_free);
  if (call->loop != NULL)
    cm_loop_unref (call->loop);
  g_free (call);
}

CmCall *
cm_call_ref (CmCall *call)
{
  g_atomic_int_inc (&call->refs);
  return call;
}

void
cm_call_unref (CmCall *call)
{
  if (call != NULL && g_atomic_int_dec_and_test (&call->refs))
    call_free (call);
}

CmNode *
cm_call_node (const CmCall *call)
{
  return call->node;
}

CmServe
cm_call_serve (const CmCall *call)
{
  return call->serve;
}

const char *
cm_call_method (const CmCall *call)
{
  return call->method;
}

const char *
cm_call_target (const CmCall *call)
{
  return call->target;
}

const char *
cm_call_address (const CmCall *call)
{
  return call->address;
}

const char *
cm_call_header (const CmCall *call, const char *name)
{
  for (guint i = 0; i < call->n_headers; i++)
    if (g_ascii_strcasecmp (call->headers[i].name, name) == 0)
      return call->headers[i].value;
  return NULL;
}

GPtrArray *
cm_call_headers (const CmCall *call, const char *name)
{
  GPtrArray *values = g_ptr_array_new ();

  for (guint i = 0; i < call->n_headers; i++)
    if (g_ascii_strcasecmp (call->headers[i].name, name) == 0)
      g_ptr_array_add (values, (gpointer) call->headers[i].value);
  return values;
}

static const char *
pair_value (const CmPair *pairs, guint n_pairs, const char *name)
{
  for (guint i = 0; i < n_pairs; i++)
    if (strcmp (pairs[i].name, name) == 0)
      return pairs[i].value;
  return NULL;
}

const char *
cm_call_param (const CmCall *call, const char *name)
{
  return pair_value (call->params, call->n_params, name);
}

const char *
cm_call_query (const CmCall *call, const char *name)
{
  return pair_value (call->query, call->n_query, name);
}

GPtrArray *
cm_call_query_all (const CmCall *call, const char *name)
{
  GPtrArray *values = g_ptr_array_new ();

  for (guint i = 0; i < call->n_query; i++)
    if (strcmp (call->query[i].name, name) == 0)
      g_ptr_array_add (values, (gpointer) call->query[i].value);
  return values;
}

gboolean
cm_call_query_integer (const CmCall *call, const char *name, gint64 fallback, gint64 min,
                       gint64 max, gint64 *value, GError **error)
{
  const char *text = cm_call_query (call, name);
  char *end;

  if (text == NULL) {
    *value = fallback;
    return TRUE;
  }
  /* Saturates at the ends of gint64, which clamping to @max makes right. */
  gint64 number = g_ascii_strtoll (text, &end, 10);
  if (!g_ascii_isdigit (text[*text == '-']) || *end != '\0' || number < min) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "%s is not a valid number", name);
    return FALSE;
  }
  *value = MIN (number, max);
  return TRUE;
}

gboolean
cm_call_query_boolean (const CmCall *call, const char *name, gboolean *value, GError **error)
{
  const char *text = cm_call_query (call, name);

  *value = g_strcmp0 (text, "true") == 0;
  if (text == NULL || *value || strcmp (text, "false") == 0)
    return TRUE;
  return cm_fail (error, CM_ERROR_INVALID_PARAM, "%s must be true or false", name);
}

/* Decodes @name or @value into @out and moves it on behind the NUL. */
static const char *
decode_into (char **out, const char *text, gsize length)
{
  const char *decoded = *out;
  gssize written = cm_percent_decode (text, length, TRUE, *out);

  if (written < 0)
    return NULL;
  *out += written + 1;
  return decoded;
}

gboolean
cm_call_parse_query (CmCall *call, GError **error)
{
  const char *query = call->target + call->path_length;
  gsize room = 1;

  if (*query == '\0')
    return TRUE;
  for (const char *p = ++query; *p != '\0'; p++)
    room += *p == '&';

  /* Decoding shrinks; each pair adds at most two NULs, for "=" and "&" that were not there. */
  call->query = g_malloc (room * sizeof (CmPair) + strlen (query) + room * 2);
  char *out = (char *) (call->query + room);
  while (*query != '\0') {
    gsize length = strcspn (query, "&");
    gsize name_length = MIN (strcspn (query, "="), length);
    gsize skip = MIN (name_length + 1, length);
    CmPair *pair = &call->query[call->n_query];

    if (length > 0) {
      pair->name = decode_into (&out, query, name_length);
      pair->value = decode_into (&out, query + skip, length - skip);
      if (pair->name == NULL || pair->value == NULL) {
        g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                             "The query is not percent-encoded UTF-8");
        return FALSE;
      }
      call->n_query++;
    }
    query += length;
    query += *query == '&';
  }
  return TRUE;
}

GBytes *
cm_call_body (const CmCall *call)
{
  return call->body;
}

CmJsonDoc *
cm_call_doc (const CmCall *call)
{
  return call->doc;
}

const CmJson *
cm_call_json (const CmCall *call)
{
  return call->doc != NULL ? cm_json_doc_root (call->doc) : NULL;
}

const CmRoute *
cm_call_route (const CmCall *call)
{
  return call->route;
}

const CmRequester *
cm_call_requester (const CmCall *call)
{
  return call->requester;
}

const char *
cm_call_user (const CmCall *call)
{
  return call->requester != NULL ? call->requester->user_id : NULL;
}

const char *
cm_call_device (const CmCall *call)
{
  return call->requester != NULL ? call->requester->device_id : NULL;
}

const char *
cm_call_origin (const CmCall *call)
{
  return call->requester != NULL ? call->requester->origin : NULL;
}

CmReply *
cm_call_get_reply (const CmCall *call)
{
  return g_atomic_pointer_get (&((CmCall *) call)->reply);
}

void
cm_call_change_reply (CmCall *call, CmReply *reply)
{
  CmReply *old = cm_call_get_reply (call);

  g_atomic_pointer_set (&call->reply, reply);
  cm_reply_free (old);
}

void
cm_call_reply (CmCall *call, CmReply *reply)
{
  g_return_if_fail (reply != NULL && reply != CM_REPLY_LATER);

  if (!g_atomic_pointer_compare_and_exchange (&call->reply, NULL, reply)) {
    g_warning ("%s %.*s answered twice", call->method, (int) call->path_length, call->target);
    cm_reply_free (reply);
    return;
  }
  if (call->loop == NULL)
    call->answered (call, call->answered_data);
  /* During the hand-over the connection looks for itself. */
  else if (!cm_loop_is_here (call->loop) || cm_conn_holds (call))
    cm_loop_post (call->loop, call);
}

void
cm_call_finish (CmCall *call, CmReply *reply, const GError *error)
{
  g_autoptr (GError) missing = NULL;

  if (reply == CM_REPLY_LATER)
    return;
  if (reply == NULL && error == NULL)
    missing = g_error_new (CM_ERROR, CM_ERROR_UNKNOWN, "%s %.*s gave neither reply nor error",
                           call->method, (int) call->path_length, call->target);
  if (reply == NULL)
    reply = cm_reply_error (error != NULL ? error : missing);
  cm_call_reply (call, reply);
}

gboolean
cm_call_is_gone (const CmCall *call)
{
  return g_atomic_int_get (&((CmCall *) call)->gone);
}

void
cm_call_on_gone (CmCall *call, CmCallGone func, gpointer data)
{
  GoneFunc *gone = g_new (GoneFunc, 1);

  gone->func = func;
  gone->data = data;
  g_bit_lock (&call->lock, 0);
  call->gone_funcs = g_slist_append (call->gone_funcs, gone);
  g_bit_unlock (&call->lock, 0);
  /* After the list is changed: either this sees the flag or cm_call_set_gone sees the function. */
  if (cm_call_is_gone (call) && call->loop == NULL)
    cm_call_set_gone (call);
  else if (cm_call_is_gone (call))
    cm_loop_post (call->loop, call);
}

void
cm_call_set_gone (CmCall *call)
{
  g_atomic_int_set (&call->gone, TRUE);
  g_bit_lock (&call->lock, 0);
  GSList *funcs = g_steal_pointer (&call->gone_funcs);
  g_bit_unlock (&call->lock, 0);

  for (GSList *item = funcs; item != NULL; item = item->next) {
    GoneFunc *gone = item->data;
    if (cm_call_get_reply (call) == NULL)
      gone->func (call, gone->data);
  }
  g_slist_free_full (funcs, g_free);
}
