#include "server/accounts/directory.h"

#include "crypto/hash.h"
#include "server/accounts/ldap.h"

#include <string.h>

#define ENTRY_ID      "entryUUID" /* RFC 4530 */
#define LEFT_ALONE_US (5 * G_USEC_PER_SEC)

struct _CmDirectory {
  const CmConfig *config;
  GMutex mutex;
  gint64 stalled_until_us;
  CmWatchdog *watchdog;
};

static void
message_free (LDAPMessage *message)
{
  ldap_msgfree (message);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LDAPMessage, message_free)

void
cm_person_free (CmPerson *person)
{
  if (!person)
    return;
  g_free (person->dn);
  g_free (person->id);
  g_free (person->display_name);
  g_free (person->mail);
  g_free (person);
}

CmDirectory *
cm_directory_new (const CmConfig *config)
{
  CmDirectory *directory = g_new0 (CmDirectory, 1);
  directory->config = config;
  directory->watchdog = cm_watchdog_new ();
  g_mutex_init (&directory->mutex);
  return directory;
}

void
cm_directory_free (CmDirectory *directory)
{
  if (!directory)
    return;
  cm_watchdog_free (directory->watchdog);
  g_mutex_clear (&directory->mutex);
  g_free (directory);
}

static gboolean
is_stalled (CmDirectory *directory)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&directory->mutex);
  return g_get_monotonic_time () < directory->stalled_until_us;
}

static void
note_stall (CmDirectory *directory)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&directory->mutex);
  directory->stalled_until_us = g_get_monotonic_time () + LEFT_ALONE_US;
}

static gboolean
means_no_answer (int code)
{
  return code == LDAP_SERVER_DOWN || code == LDAP_TIMEOUT || code == LDAP_CONNECT_ERROR ||
         code == LDAP_TIMELIMIT_EXCEEDED;
}

/* The log learns what the directory said, the client only that it did not work. */
static gboolean
unavailable (CmDirectory *directory, const char *doing, int code, GError **error)
{
  g_warning ("The directory fails at %s: %s", doing, ldap_err2string (code));
  if (means_no_answer (code))
    note_stall (directory);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The directory is not available");
  return FALSE;
}

static gboolean
forbidden (GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Invalid username or password");
  return FALSE;
}

/* The first line of the file; it is read each time, so that it can be changed at any time. */
static char *
read_bind_password (const CmConfig *config, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;
  if (!g_file_get_contents (config->ldap.bind_password_file, &text, &length, error))
    return NULL;
  text[strcspn (text, "\r\n")] = '\0';
  if (text[0] != '\0')
    return g_steal_pointer (&text);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFIG, "[ldap] bind_password_file: is empty");
  return NULL;
}

static gboolean
bind_as_node (CmDirectory *directory, CmLdap *connection, GError **error)
{
  if (!directory->config->ldap.bind_dn)
    return TRUE;
  g_autofree char *password = read_bind_password (directory->config, error);
  if (!password)
    return FALSE;
  int code = cm_ldap_bind (connection, directory->config->ldap.bind_dn, password);
  return code == LDAP_SUCCESS || unavailable (directory, "the bind of bind_dn", code, error);
}

/* RFC 4515: what is special in a filter stands escaped. */
static char *
person_filter (const CmConfig *config, const char *attribute, const char *value)
{
  struct berval in = { .bv_len = strlen (value), .bv_val = (char *) value };
  struct berval out = { 0 };
  if (ldap_bv2escaped_filter_value (&in, &out) != 0)
    return NULL;
  char *filter = g_strdup_printf ("(&%s(%s=%.*s))", config->ldap.user_filter, attribute,
                                  (int) out.bv_len, out.bv_val);
  ldap_memfree (out.bv_val);
  return filter;
}

/* Everything that matches; a result with more than one entry is of no use, and not an error. */
static LDAPMessage *
search (CmDirectory *directory, CmLdap *connection, const char *attribute, const char *value,
        GError **error)
{
  const CmConfig *config = directory->config;
  g_autofree char *filter = person_filter (config, attribute, value);
  const char *attributes[] = { config->ldap.localpart_attribute,
                               config->ldap.display_name_attribute,
                               config->ldap.mail_attribute,
                               "cn",
                               ENTRY_ID,
                               NULL };
  g_autoptr (LDAPMessage) result = NULL;
  int code = LDAP_FILTER_ERROR;
  if (filter)
    code =
        ldap_search_ext_s (connection->handle, config->ldap.user_base, LDAP_SCOPE_SUBTREE, filter,
                           (char **) attributes, 0, NULL, NULL, NULL, CM_LDAP_SIZE_LIMIT, &result);
  if (code == LDAP_SUCCESS || code == LDAP_SIZELIMIT_EXCEEDED)
    return g_steal_pointer (&result);
  unavailable (directory, "the search", code, error);
  return NULL;
}

/* (transfer full) the first value that is a text of at least one character; NULL when there is
 * none. @count (nullable) gets the number of values. */
static char *
value_of (CmLdap *connection, LDAPMessage *entry, const char *attribute, int *count)
{
  char *text = NULL;
  struct berval **values =
      attribute ? ldap_get_values_len (connection->handle, entry, attribute) : NULL;
  if (count)
    *count = ldap_count_values_len (values);
  for (gsize i = 0; values && values[i] && !text; i++) {
    const struct berval *value = values[i];
    gboolean good = value->bv_len > 0 && !memchr (value->bv_val, 0, value->bv_len) &&
                    g_utf8_validate (value->bv_val, (gssize) value->bv_len, NULL);
    if (good)
      text = g_strndup (value->bv_val, value->bv_len);
  }
  ldap_value_free_len (values);
  return text;
}

/* The directory compares by its own rules (case, spaces): the name must be the one that was asked
 * for, and the only one. */
static gboolean
is_named (const CmConfig *config, CmLdap *connection, LDAPMessage *entry, const char *localpart)
{
  int count;
  g_autofree char *name = value_of (connection, entry, config->ldap.localpart_attribute, &count);
  return name && count == 1 && g_ascii_strcasecmp (name, localpart) == 0;
}

static CmPerson *
person_of (const CmConfig *config, CmLdap *connection, LDAPMessage *entry)
{
  char *dn = ldap_get_dn (connection->handle, entry);
  if (!dn || dn[0] == '\0') {
    ldap_memfree (dn);
    return NULL;
  }
  CmPerson *person = g_new0 (CmPerson, 1);
  person->dn = g_strdup (dn);
  ldap_memfree (dn);
  person->id = value_of (connection, entry, ENTRY_ID, NULL);
  person->mail = value_of (connection, entry, config->ldap.mail_attribute, NULL);
  person->display_name = value_of (connection, entry, config->ldap.display_name_attribute, NULL);
  if (!person->display_name)
    person->display_name = value_of (connection, entry, "cn", NULL);
  return person;
}

/* The one person of this name (transfer full); NULL without @error when there is none, or more than
 * one. *@vacant: nobody has the name. */
static CmPerson *
find (CmDirectory *directory, CmLdap *connection, const char *localpart, gboolean *vacant,
      GError **error)
{
  const CmConfig *config = directory->config;
  *vacant = FALSE;
  if (!bind_as_node (directory, connection, error))
    return NULL;
  g_autoptr (LDAPMessage) result =
      search (directory, connection, config->ldap.localpart_attribute, localpart, error);
  if (!result)
    return NULL;
  LDAPMessage *entry = ldap_first_entry (connection->handle, result);
  *vacant = entry == NULL;
  if (!entry || ldap_count_entries (connection->handle, result) != 1 ||
      !is_named (config, connection, entry, localpart))
    return NULL;
  return person_of (config, connection, entry);
}

/* An entry that was given another name. */
static CmPerson *
find_renamed (CmDirectory *directory, CmLdap *connection, const char *id, GError **error)
{
  g_autoptr (LDAPMessage) result = search (directory, connection, ENTRY_ID, id, error);
  LDAPMessage *entry = result ? ldap_first_entry (connection->handle, result) : NULL;
  if (!entry || ldap_count_entries (connection->handle, result) != 1)
    return NULL;
  return person_of (directory->config, connection, entry);
}

static CmLdap *
begin (CmDirectory *directory, GError **error)
{
  int code = LDAP_SERVER_DOWN;
  if (!is_stalled (directory)) {
    CmLdap *connection = cm_ldap_open (directory->config, directory->watchdog, &code);
    if (!connection)
      unavailable (directory, "the beginning, or TLS", code, error);
    return connection;
  }
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The directory is not available");
  return NULL;
}

/* Directories that cannot say who is bound (RFC 4532 is optional) are believed; one that says
 * "nobody" is too. */
static gboolean
is_bound (CmLdap *connection)
{
  struct berval *identity = NULL;
  int code = ldap_whoami_s (connection->handle, &identity, NULL, NULL);
  gboolean anonymous = code == LDAP_SUCCESS && (!identity || identity->bv_len == 0);
  ber_bvfree (identity);
  return !anonymous;
}

static gboolean
prove (CmDirectory *directory, CmLdap *connection, const char *dn, const char *password,
       GError **error)
{
  int code = cm_ldap_bind (connection, dn, password);
  if (means_no_answer (code) || code == LDAP_BUSY || code == LDAP_UNAVAILABLE)
    return unavailable (directory, "the bind of a person", code, error);
  return (code == LDAP_SUCCESS && is_bound (connection)) || forbidden (error);
}

/* Somebody who is not there: the same steps, so that time does not tell. */
static CmPerson *
sign_in_nobody (CmDirectory *directory, CmLdap *connection, GError **error)
{
  g_autofree char *nobody = cm_random_token (20);
  g_autofree char *dn = g_strdup_printf ("%s=%s,%s", directory->config->ldap.localpart_attribute,
                                         nobody, directory->config->ldap.user_base);
  cm_ldap_bind (connection, dn, nobody);
  forbidden (error);
  return NULL;
}

CmPerson *
cm_directory_sign_in (CmDirectory *directory, const char *localpart, const char *id,
                      const char *password, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gboolean vacant;
  if (password[0] == '\0') {
    forbidden (error);
    return NULL;
  }
  g_autoptr (CmLdap) connection = begin (directory, error);
  if (!connection)
    return NULL;
  g_autoptr (CmPerson) person = find (directory, connection, localpart, &vacant, &failure);
  if (vacant && id)
    person = find_renamed (directory, connection, id, &failure);
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (!person)
    return sign_in_nobody (directory, connection, error);
  return prove (directory, connection, person->dn, password, error) ? g_steal_pointer (&person)
                                                                    : NULL;
}

gboolean
cm_directory_has (CmDirectory *directory, const char *localpart, gboolean *has, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gboolean vacant;
  *has = FALSE;
  g_autoptr (CmLdap) connection = begin (directory, error);
  if (!connection)
    return FALSE;
  g_autoptr (CmPerson) person = find (directory, connection, localpart, &vacant, &failure);
  *has = person != NULL;
  if (!failure)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}
