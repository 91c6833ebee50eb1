/* What the server holds of large bodies at a time, of all clients together and of one address: so
 * that neither memory nor, with a few slow uploads, everybody else's turn can be taken. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CmBudget CmBudget;

/* Bytes. */
CmBudget *cm_budget_new (gsize total, gsize for_one);
void cm_budget_free (CmBudget *budget);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmBudget, cm_budget_free)

/* From any thread. FALSE, and nothing is taken, when it would be too much. */
gboolean cm_budget_take (CmBudget *budget, const char *address, gsize bytes);
/* What was taken before. */
void cm_budget_return (CmBudget *budget, const char *address, gsize bytes);

G_END_DECLS
