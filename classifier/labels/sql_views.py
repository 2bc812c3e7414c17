"""Views of the database for whoever joins labels in a warehouse: their columns stay, whatever the tables become.

They are no part of a migration. SQLite rebuilds a table to change it, and PostgreSQL changes no type of a column, while
a view reads it; so the views go before migrations are applied and come back behind the last one.
"""

import logging
from typing import Any, Final

from django.db import DatabaseError, connections, transaction

from catalog.labels import WITHOUT_ROW

logger = logging.getLogger(__name__)

#: Name -> the query behind it; `HEX(...)` stands for a hash of bytes in hexadecimal digits.
VIEWS: Final = {
    "v_product_label": f"""
        SELECT product.id AS product_id, label."group" AS label_group, label.garment, label.garment_unsure,
               label.confidence, COALESCE(label.status, '{WITHOUT_ROW}') AS status, label.source, label.reason,
               CASE WHEN label.evidence = '' AND label.source = 'machine' THEN 'picture' ELSE label.evidence
               END AS evidence,
               label.model_version_id, version.name AS model_version, label.review_id, said.run_id,
               said.sha256 AS classified_sha256, label.labelled_at
        FROM product LEFT JOIN classifier_productlabel AS label ON label.product_id = product.id
        LEFT JOIN classifier_modelversion AS version ON version.id = label.model_version_id
        LEFT JOIN classifier_classification AS said ON said.id = label.classification_id""",  # noqa: S608 - our word
    "v_label_history": """
        SELECT id AS change_id, product_id, at AS valid_from,
               lag(at) OVER (PARTITION BY product_id ORDER BY id DESC) AS valid_until, why,
               old_group AS old_label_group, old_garment, old_garment_unsure, old_confidence, old_status, old_source,
               old_reason, CASE WHEN old_evidence = '' AND old_source = 'machine' THEN 'picture' ELSE old_evidence
               END AS old_evidence, old_version_id AS old_model_version_id,
               new_group AS label_group, new_garment AS garment, new_garment_unsure AS garment_unsure,
               new_confidence AS confidence, new_status AS status, new_source AS source, new_reason AS reason,
               CASE WHEN new_evidence = '' AND new_source = 'machine' THEN 'picture' ELSE new_evidence END AS evidence,
               new_version_id AS model_version_id, version_name AS model_version, review_id, run_id,
               HEX(sha256) AS picture_sha256, HEX(texts_sha256) AS texts_sha256, labelled_at
        FROM classifier_labelchange""",
    # Every activation begins an adoption; versions that are older than that say when they were activated last.
    "v_production_as_of": """
        SELECT model_version_id, name AS model_version, valid_from,
               lead(valid_from) OVER (ORDER BY valid_from, model_version_id) AS valid_until
        FROM (SELECT model_version_id, created_at AS valid_from FROM classifier_adoptionrun
              UNION ALL
              SELECT id, activated_at FROM classifier_modelversion AS former WHERE activated_at IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM classifier_adoptionrun WHERE model_version_id = former.id)) AS activation
        JOIN classifier_modelversion AS version ON version.id = activation.model_version_id""",
}

#: Who may do what with which view, from when they are dropped until they are made again. A table, since a migration
#: that fails leaves the next process to make them.
_GRANTS: Final = "v_grants"


def drop_views(*, using: str, plan: Any, **_: Any) -> None:
    """Take the views away before migrations are applied, if there are any to apply, and remember who may read them."""
    if not plan:
        return
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            _keep_grants(cursor)
        for name in VIEWS:
            cursor.execute(f"DROP VIEW IF EXISTS {name}")


def create_views(*, using: str, **_: Any) -> None:
    """Make the views of the tables as they are now; none of tables that are older than this program."""
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            for name, query in VIEWS.items():
                _create_view(cursor, name, query, using=using)
            if connections[using].vendor == "postgresql":
                _give_back_grants(cursor, using=using)
    except DatabaseError as error:
        logger.warning("the views for other programs are not made of these tables: %s", error)


def _create_view(cursor: Any, name: str, query: str, *, using: str) -> None:
    """Make a view, or make it anew; on PostgreSQL only one that has other columns loses its name for that."""
    is_postgresql = connections[using].vendor == "postgresql"
    for column in ("sha256", "texts_sha256"):
        hexadecimal = f"encode({column}, 'hex')" if is_postgresql else f"lower(hex({column}))"
        query = query.replace(f"HEX({column})", hexadecimal)
    if is_postgresql:
        try:
            with transaction.atomic(using=using):
                cursor.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")
            return
        except DatabaseError:
            _keep_grants(cursor)
    cursor.execute(f"DROP VIEW IF EXISTS {name}")
    cursor.execute(f"CREATE VIEW {name} AS {query}")


def _keep_grants(cursor: Any) -> None:
    """Write down who else may do what with the views that are there, the role ready for a statement."""
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {_GRANTS} (name text, privilege text, role text)")
    cursor.execute(
        f"INSERT INTO {_GRANTS} SELECT table_name, privilege_type,"  # noqa: S608 - a name of ours
        " CASE grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(grantee) END"
        " FROM information_schema.role_table_grants WHERE table_name = ANY(%s) AND grantee <> current_user",
        [list(VIEWS)],
    )


def _give_back_grants(cursor: Any, *, using: str) -> None:
    """Grant what was written down; of a role that is gone meanwhile nothing, with a word."""
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [_GRANTS])
    if cursor.fetchone() != (True,):
        return
    cursor.execute(f"SELECT DISTINCT name, privilege, role FROM {_GRANTS}")  # noqa: S608 - a name of ours
    for name, privilege, role in cursor.fetchall():
        try:
            with transaction.atomic(using=using):
                cursor.execute(f"GRANT {privilege} ON {name} TO {role}")
        except DatabaseError as error:
            logger.warning("%s may not %s %s any more: %s", role, privilege, name, error)
    cursor.execute(f"DROP TABLE {_GRANTS}")
