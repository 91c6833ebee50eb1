/* What a node keeps: its keys and its database, as steps of node.c. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

gboolean cm_storage_start_signing_key (CmNode *node, GError **error);
void cm_storage_stop_signing_key (CmNode *node);

gboolean cm_storage_start_vault (CmNode *node, GError **error);
void cm_storage_stop_vault (CmNode *node);

/* The private PostgreSQL, started or joined; nothing with a database of the administrator's. */
gboolean cm_storage_start_cluster (CmNode *node, GError **error);
void cm_storage_stop_cluster (CmNode *node);

gboolean cm_storage_start_pool (CmNode *node, GError **error);
void cm_storage_stop_pool (CmNode *node);

/* Brings the tables up to date, and refuses those of a server of another name. */
gboolean cm_storage_migrate (CmNode *node, GError **error);

gboolean cm_storage_start_ids (CmNode *node, GError **error);
void cm_storage_stop_ids (CmNode *node);

G_END_DECLS
