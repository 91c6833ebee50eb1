#include "federation/x-matrix.h"

#include "crypto/base64.h"
#include "crypto/id.h"
#include "crypto/json-writer.h"

#include <string.h>

#define MAX_HEADER_BYTES 8192
#define MAX_PARAMETERS   16

typedef struct {
  char *name; /* lower case */
  char *value;
} Parameter;

static void
parameter_clear (gpointer data)
{
  Parameter *parameter = data;

  g_free (parameter->name);
  g_free (parameter->value);
}

static gboolean
refuse (const char *why, GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, "X-Matrix authorization: %s", why);
  return FALSE;
}

/* RFC 9110, 5.6.2: tchar. */
static gboolean
is_token_char (char c)
{
  return g_ascii_isalnum (c) || (c != '\0' && strchr ("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Unquoted colons are no tokens, but older servers send them ("Request Authentication"). */
static gboolean
is_bare_value_char (char c)
{
  return is_token_char (c) || c == ':';
}

/* RFC 9110, 5.6.4: what may stand in a quoted string; after a backslash '"' and '\' too. */
static gboolean
is_quotable (char c)
{
  guchar byte = (guchar) c;

  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

static void
skip_blanks (const char **at)
{
  while (**at == ' ' || **at == '\t')
    (*at)++;
}

static char *
take_while (const char **at, gboolean (*belongs) (char))
{
  const char *start = *at;

  while (belongs (**at))
    (*at)++;
  return g_strndup (start, *at - start);
}

/* @at stands behind the opening quote. NULL when the string is not closed or holds control
 * characters. */
static char *
take_quoted (const char **at)
{
  g_autoptr (GString) value = g_string_new (NULL);

  for (; **at != '"'; (*at)++) {
    if (**at == '\\')
      (*at)++;
    if (!is_quotable (**at))
      return NULL;
    g_string_append_c (value, **at);
  }
  (*at)++;
  return g_string_free (g_steal_pointer (&value), FALSE);
}

/* auth-param = token BWS "=" BWS ( token / quoted-string ) */
static gboolean
take_parameter (const char **at, Parameter *parameter, GError **error)
{
  g_autofree char *name = take_while (at, is_token_char);
  g_autofree char *value = NULL;

  skip_blanks (at);
  if (*name == '\0' || **at != '=')
    return refuse ("a parameter has no name or no value", error);
  (*at)++;
  skip_blanks (at);
  if (**at == '"') {
    (*at)++;
    value = take_quoted (at);
  } else {
    value = take_while (at, is_bare_value_char);
  }
  if (value == NULL || *value == '\0')
    return refuse ("a parameter's value is not well-formed", error);
  parameter->name = g_ascii_strdown (name, -1);
  parameter->value = g_steal_pointer (&value);
  return TRUE;
}

static const char *
find_parameter (GArray *parameters, const char *name)
{
  for (guint i = 0; i < parameters->len; i++) {
    const Parameter *parameter = &g_array_index (parameters, Parameter, i);

    if (g_str_equal (parameter->name, name))
      return parameter->value;
  }
  return NULL;
}

/* RFC 9110, 5.6.1: a list may have empty elements. No name may come twice (11.2). */
static GArray *
take_parameters (const char *at, GError **error)
{
  g_autoptr (GArray) parameters = g_array_new (FALSE, TRUE, sizeof (Parameter));

  g_array_set_clear_func (parameters, parameter_clear);
  for (;;) {
    Parameter parameter = { 0 };

    while (*at == ' ' || *at == '\t' || *at == ',')
      at++;
    if (*at == '\0')
      return g_steal_pointer (&parameters);
    if (parameters->len == MAX_PARAMETERS || !take_parameter (&at, &parameter, error)) {
      if (parameters->len == MAX_PARAMETERS)
        refuse ("too many parameters", error);
      return NULL;
    }
    if (find_parameter (parameters, parameter.name) != NULL) {
      parameter_clear (&parameter);
      refuse ("a parameter is repeated", error);
      return NULL;
    }
    g_array_append_val (parameters, parameter);
    skip_blanks (&at);
    if (*at != ',' && *at != '\0') {
      refuse ("parameters are not separated by commas", error);
      return NULL;
    }
  }
}

static gboolean
check_values (const CmXMatrix *header, GError **error)
{
  guint8 signature[CM_ED25519_SIGNATURE_SIZE];

  if (header->origin == NULL || header->key == NULL || header->signature == NULL)
    return refuse ("origin, key and sig are needed", error);
  if (!cm_id_is_server_name (header->origin))
    return refuse ("the origin is no server name", error);
  if (!cm_id_is_key (header->key) || !g_str_has_prefix (header->key, "ed25519:"))
    return refuse ("the key is no id of an ed25519 key", error);
  if (!cm_base64_decode_exact (header->signature, signature, sizeof signature))
    return refuse ("the signature is not base64 of 64 bytes", error);
  return TRUE;
}

void
cm_x_matrix_free (CmXMatrix *header)
{
  g_free (header->origin);
  g_free (header->destination);
  g_free (header->key);
  g_free (header->signature);
  g_free (header);
}

CmXMatrix *
cm_x_matrix_parse (const char *header, GError **error)
{
  g_autoptr (CmXMatrix) parsed = g_new0 (CmXMatrix, 1);
  g_autoptr (GArray) parameters = NULL;
  gsize length = strnlen (header, MAX_HEADER_BYTES + 1);

  if (length > MAX_HEADER_BYTES) {
    refuse ("the header is too long", error);
    return NULL;
  }
  if (g_ascii_strncasecmp (header, "X-Matrix ", 9) != 0) {
    refuse ("the scheme must be X-Matrix", error);
    return NULL;
  }
  parameters = take_parameters (header + 9, error);
  if (parameters == NULL)
    return NULL;
  parsed->origin = g_strdup (find_parameter (parameters, "origin"));
  parsed->destination = g_strdup (find_parameter (parameters, "destination"));
  parsed->key = g_strdup (find_parameter (parameters, "key"));
  parsed->signature = g_strdup (find_parameter (parameters, "sig"));
  if (!check_values (parsed, error))
    return NULL;
  return g_steal_pointer (&parsed);
}

/* "Request Authentication", step 1: the object that is signed, without its signatures. */
static GBytes *
signed_bytes (const char *method, const char *target, const char *origin, const char *destination,
              GBytes *content)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  /* In the order of canonical JSON, so that it need not be read back to be sorted. */
  cm_json_open_object (writer, NULL);
  if (content != NULL)
    cm_json_put_bytes (writer, "content", content);
  cm_json_put_text (writer, "destination", destination);
  cm_json_put_text (writer, "method", method);
  cm_json_put_text (writer, "origin", origin);
  cm_json_put_text (writer, "uri", target);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

char *
cm_x_matrix_sign (const char *method, const char *target, const char *origin,
                  const char *destination, const CmJson *content, const CmSigningKey *key,
                  GError **error)
{
  g_autoptr (GBytes) canonical = NULL, bytes = NULL;
  g_autofree char *signature = NULL;

  if (content != NULL) {
    canonical = cm_json_canonical (content, NULL, error);
    if (canonical == NULL)
      return NULL;
  }
  bytes = signed_bytes (method, target, origin, destination, canonical);
  signature = cm_signing_key_sign (key, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  return g_strdup_printf ("X-Matrix origin=\"%s\",destination=\"%s\",key=\"%s\",sig=\"%s\"", origin,
                          destination, cm_signing_key_id (key), signature);
}

gboolean
cm_x_matrix_verify (const CmXMatrix *header, const char *method, const char *target,
                    const char *destination, const CmJson *content, const char *public_key,
                    GError **error)
{
  g_autoptr (GBytes) canonical = NULL, bytes = NULL;

  if (header->destination != NULL && !g_str_equal (header->destination, destination))
    return refuse ("the request is for another server", error);
  if (!g_utf8_validate (target, -1, NULL))
    return refuse ("the target is not UTF-8", error);
  /* One event with a number that canonical JSON does not know must not take the others of its
   * transaction with it (CVE-2025-30355): numbers count as they were written. */
  if (content != NULL)
    canonical = cm_json_canonical_lenient (content, NULL);
  bytes = signed_bytes (method, target, header->origin, destination, canonical);
  if (!cm_ed25519_verify (public_key, header->signature, g_bytes_get_data (bytes, NULL),
                          g_bytes_get_size (bytes)))
    return refuse ("the signature does not match", error);
  return TRUE;
}
