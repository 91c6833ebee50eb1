#include "server/federation.h"

#include "federation/destinations.h"
#include "federation/intake.h"
#include "server/config/config.h"

/* (transfer full) @ranges as texts. */
static char **
texts_of_ranges (const GPtrArray *ranges)
{
  g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();

  for (guint i = 0; ranges != NULL && i < ranges->len; i++) {
    g_autofree char *text = g_inet_address_mask_to_string (ranges->pdata[i]);
    g_strv_builder_add (texts, text);
  }
  return g_strv_builder_end (texts);
}

/* (transfer full) "name=host:port" for each entry of [federation] resolve. */
static char **
texts_of_overrides (GHashTable *resolve)
{
  g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();
  GHashTableIter iter;
  gpointer name, place;

  g_hash_table_iter_init (&iter, resolve);
  while (g_hash_table_iter_next (&iter, &name, &place)) {
    g_autofree char *text = g_strdup_printf ("%s=%s", (char *) name, (char *) place);
    g_strv_builder_add (texts, text);
  }
  return g_strv_builder_end (texts);
}

gboolean
cm_federation_start_client (CmNode *node, GError **error)
{
  const CmConfig *config = node->config;
  g_auto (GStrv) allow = texts_of_ranges (config->outbound.allow);
  g_auto (GStrv) resolve = texts_of_overrides (config->federation.resolve);
  const CmOutboundPolicy users = {
    .allow = (const char *const *) allow,
    .verify_tls = config->outbound.verify_tls,
    .ca_file = config->outbound.ca_file,
  };
  const CmOutboundPolicy servers = {
    .allow = (const char *const *) allow,
    .verify_tls = config->federation.verify_tls,
    .ca_file = config->federation.ca_file,
  };

  node->outbound = cm_outbound_new (&users, error);
  node->fed_outbound = node->outbound != NULL ? cm_outbound_new (&servers, error) : NULL;
  if (node->fed_outbound == NULL)
    return FALSE;
  node->discovery = cm_discovery_new (node->fed_outbound, (const char *const *) resolve, error);
  if (node->discovery == NULL)
    return FALSE;
  node->fed_client =
      cm_fed_client_new (node->fed_outbound, node->discovery, node->server_name, node->signing_key);
  return TRUE;
}

void
cm_federation_stop_client (CmNode *node)
{
  g_clear_pointer (&node->fed_client, cm_fed_client_free);
  g_clear_pointer (&node->discovery, cm_discovery_free);
  g_clear_pointer (&node->fed_outbound, cm_outbound_free);
  g_clear_pointer (&node->outbound, cm_outbound_free);
}

void
cm_federation_stop_calls (CmNode *node)
{
  if (node->fed_outbound != NULL)
    cm_outbound_stop (node->fed_outbound);
  if (node->outbound != NULL)
    cm_outbound_stop (node->outbound);
}

gboolean
cm_federation_start_keys (CmNode *node, GError **error)
{
  node->key_ring =
      cm_key_ring_new (node->pool, node->fed_client, node->server_name, node->signing_key,
                       (const char *const *) node->config->federation.trusted_key_servers, error);
  return node->key_ring != NULL;
}

void
cm_federation_stop_keys (CmNode *node)
{
  g_clear_pointer (&node->key_ring, cm_key_ring_free);
}

gboolean
cm_federation_start_queues (CmNode *node, GError **error)
{
  if (!node->config->federation.enabled)
    return TRUE;
  node->destinations =
      cm_destinations_new (node->pool, node->committer, node->fed_client, node->server_name, error);
  return node->destinations != NULL;
}

void
cm_federation_stop_queues (CmNode *node)
{
  if (node->destinations != NULL)
    cm_destinations_stop (node->destinations);
}

void
cm_federation_free_queues (CmNode *node)
{
  g_clear_pointer (&node->destinations, cm_destinations_free);
}

gboolean
cm_federation_start_intake (CmNode *node, GError **error)
{
  const CmIntakeParts parts = { node->rooms, node->key_ring, node->fed_client };

  if (!node->config->federation.enabled)
    return TRUE;
  node->intake = cm_intake_new (&parts, error);
  return node->intake != NULL;
}

void
cm_federation_stop_intake (CmNode *node)
{
  g_clear_pointer (&node->intake, cm_intake_free);
}
