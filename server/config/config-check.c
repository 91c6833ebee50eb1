/* What only shows when several keys are seen together: faults, and settings that weaken security.
 */
#include "server/config/keys.h"

#include "federation/room-version.h"

#include <string.h>

static void
fault (GString *faults, const char *place, const char *message)
{
  g_string_append_printf (faults, "%s%s: %s", faults->len > 0 ? "\n" : "", place, message);
}

static gboolean
is_loopback (const char *address)
{
  g_autoptr (GInetAddress) parsed = g_inet_address_new_from_string (address);
  return parsed && g_inet_address_get_is_loopback (parsed);
}

static gboolean
listeners_clash (const CmListener *a, const CmListener *b)
{
  return a->port == b->port && strcmp (a->address, b->address) == 0;
}

static void
check_listener (const CmConfig *config, gsize index, GString *faults)
{
  const CmListener *listener = &config->listeners[index];
  g_autofree char *place = g_strdup_printf ("[listen %s]", listener->name);
  g_autofree char *address = g_strconcat (place, " address", NULL);
  g_autofree char *key = g_strconcat (place, " tls_key", NULL);
  g_autofree char *serve = g_strconcat (place, " serve", NULL);
  g_autofree char *port = g_strconcat (place, " port", NULL);
  g_autoptr (GInetAddress) parsed =
      listener->address ? g_inet_address_new_from_string (listener->address) : NULL;
  if (!parsed) {
    fault (faults, address, "is not an IPv4 or IPv6 address");
    return;
  }
  if (!listener->tls_certificate != !listener->tls_key)
    fault (faults, key, "tls_certificate and tls_key come together");
  if (listener->serve == 0)
    fault (faults, serve, "names nothing to serve");
  for (gsize i = 0; i < index; i++) {
    if (listeners_clash (listener, &config->listeners[i]))
      fault (faults, port, "another listener has the same address and port");
  }
}

/* Passwords travel to the directory: never in the clear, and there is no key to say otherwise. */
static void
check_ldap (const CmConfig *config, GString *faults)
{
  const char *uri = config->ldap.uri;
  if (!uri)
    return;
  gboolean plain = g_str_has_prefix (uri, "ldap://");
  if (!plain && !g_str_has_prefix (uri, "ldaps://") && !g_str_has_prefix (uri, "ldapi://"))
    fault (faults, "[ldap] uri", "must begin with ldaps://, ldap:// or ldapi://");
  if (plain && !config->ldap.start_tls)
    fault (faults, "[ldap] start_tls", "must be true for an ldap:// uri");
  if (!plain && config->ldap.start_tls)
    fault (faults, "[ldap] start_tls", "is for an ldap:// uri only");
  if (!config->ldap.user_base)
    fault (faults, "[ldap] user_base", "is missing");
  if (!config->ldap.localpart_attribute)
    fault (faults, "[ldap] localpart_attribute", "must not be empty");
  if (!config->ldap.bind_dn != !config->ldap.bind_password_file)
    fault (faults, "[ldap] bind_password_file", "bind_dn and bind_password_file come together");
}

void
cm_config_check (const CmConfig *config, GString *faults)
{
  if (config->n_listeners == 0)
    fault (faults, "[listen NAME]", "there must be at least one listener");
  for (gsize i = 0; i < config->n_listeners; i++)
    check_listener (config, i, faults);
  check_ldap (config, faults);
  if (!config->rooms.default_version || !cm_room_version_find (config->rooms.default_version))
    fault (faults, "[rooms] default_version",
           "is not a room version that this node knows: 10, 11 or 12");
}

/* --- Weaknesses --- */

static gboolean
listens_in_the_clear (const CmConfig *config)
{
  for (gsize i = 0; i < config->n_listeners; i++) {
    const CmListener *listener = &config->listeners[i];
    if (!listener->tls_key && !is_loopback (listener->address))
      return TRUE;
  }
  return FALSE;
}

static gboolean
registration_is_open (const CmConfig *config)
{
  return config->registration.open;
}

static gboolean
guests_come_in (const CmConfig *config)
{
  return config->registration.guests;
}

static gboolean
passwords_are_cheap (const CmConfig *config)
{
  return config->accounts.password_cost == CM_PASSWORD_COST_MINIMUM;
}

static gboolean
peers_are_not_verified (const CmConfig *config)
{
  return !config->federation.verify_tls;
}

static gboolean
others_are_not_verified (const CmConfig *config)
{
  return !config->outbound.verify_tls;
}

static gboolean
private_ranges_are_open (const CmConfig *config)
{
  return config->outbound.allow->len > 0;
}

static gboolean
limits_are_off (const CmConfig *config)
{
  return !config->limits.enabled;
}

static gboolean
rooms_are_public (const CmConfig *config)
{
  return config->federation.public_rooms;
}

static gboolean
device_names_leave (const CmConfig *config)
{
  return config->federation.device_names;
}

static const struct {
  gboolean (*holds) (const CmConfig *config);
  const char *message;
} weaknesses[] = {
  { listens_in_the_clear,
    "[listen NAME]: plain HTTP on an address that is not loopback; put TLS in front of it" },
  { registration_is_open, "[registration] open: anybody may make an account" },
  { guests_come_in, "[registration] guests: anybody may come in without an account" },
  { passwords_are_cheap,
    "[accounts] password_cost: passwords are hashed so cheaply that a thief of the "
    "database can guess them" },
  { peers_are_not_verified,
    "[federation] verify_tls: other servers' certificates are not checked" },
  { rooms_are_public,
    "[federation] public_rooms: the room directory can be read without an account" },
  { device_names_leave, "[federation] device_names: other servers see the names of devices" },
  { others_are_not_verified, "[outbound] verify_tls: certificates are not checked" },
  { private_ranges_are_open,
    "[outbound] allow: users can make the node connect to private addresses" },
  { limits_are_off, "[limits] enabled: nothing slows guessing or flooding down" },
};

GPtrArray *
cm_config_unheeded (const CmConfig *config)
{
  GPtrArray *messages = g_ptr_array_new ();
  if (config->appservices.files != NULL && config->appservices.files[0] != NULL)
    g_ptr_array_add (messages, "[appservices] files: this version has no application services; the "
                               "files are not read, and what they register gets no answer");
  return messages;
}

GPtrArray *
cm_config_weaknesses (const CmConfig *config)
{
  GPtrArray *messages = g_ptr_array_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (weaknesses); i++) {
    if (weaknesses[i].holds (config))
      g_ptr_array_add (messages, (gpointer) weaknesses[i].message);
  }
  return messages;
}
