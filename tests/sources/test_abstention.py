"""Answers that say they have none, and answers that only sound like it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from driftwatch.errors import ConfigErrors
from driftwatch.sources._abstention import Abstention, pack_of, read_pack, shipped_pack

ABSTAINS = {
    "en": [
        "I don't know.",
        "I'm sorry, but I couldn't find any information about that in the documentation.",
        "Unfortunately, the provided context does not contain information about refunds for gift cards.",
        "I do not have enough information to answer this question.",
        "Sorry, I am unable to answer that question based on the documents.",
        "There is no mention of a student discount in the sources.",
        "No relevant documents were found for your question.",
        "Hi Anna! Thanks for asking. I’m not sure about that, please contact support.",
        "I don't know how long the repair takes, but you can contact our support team.",
        "The answer is not mentioned in the help centre articles.",
        "Your question is outside of my scope.",
        "N/A",
        "**I cannot answer this question.** The knowledge base doesn't cover it.",
        "Based on the retrieved passages, I can't determine whether the warranty is transferable.",
        "We have no information on that product.",
        "I couldn't locate anything about parental leave in the handbook.",
        "I'm sorry, I don't have access to that information.",
        "The documents I have do not say when the office opens.",
        "Unfortunately I was not able to find an answer to your question.",
        "I am afraid I cannot help with that.",
        "There isn't any information about this in the knowledge base.",
        "My sources don't cover this topic.",
        "It seems that the context doesn't mention the warranty.",
        "I can't find that in the docs.",
        "Nothing in the provided documents answers this.",
    ],
    "de": [
        "Das weiß ich leider nicht.",
        "Ich weiß es nicht.",
        "Leider konnte ich in den Unterlagen keine Informationen zu diesem Thema finden.",
        "Die bereitgestellten Dokumente enthalten keine Angaben zur Lieferzeit nach Island.",
        "Dazu liegen mir keine Informationen vor.",
        "Ich kann diese Frage leider nicht beantworten.",
        "Es wurden keine passenden Ergebnisse gefunden.",
        "In der Dokumentation wird diese Funktion nicht erwähnt.",
        "Ihre Frage lässt sich anhand der Quellen nicht beantworten.",
        "Guten Tag! Hierzu habe ich leider keine passende Antwort gefunden, bitte wenden Sie sich an den Support.",
        "Zu diesem Produkt gibt es leider keine Informationen in unserer Wissensdatenbank.",
        "Leider habe ich dazu keine Informationen.",
        "Tut mir leid, das kann ich nicht beantworten.",
        "Dazu finde ich in den Dokumenten nichts.",
        "Im bereitgestellten Kontext steht nichts über Rückerstattungen.",
        "Ich bin mir nicht sicher.",
        "Mir liegen dazu keine Daten vor.",
        "Diese Information ist in den Unterlagen nicht enthalten.",
        "Keine Ahnung.",
    ],
    "fr": [
        "Je ne sais pas.",
        "Désolé, je n’ai trouvé aucune information à ce sujet dans la documentation.",
        "Les documents fournis ne contiennent pas d'information sur les délais de livraison.",
        "Je ne peux malheureusement pas répondre à cette question.",
        "Je ne dispose pas de suffisamment d'informations pour répondre.",
        "Aucun document pertinent n'a été trouvé.",
        "Il n'y a aucune mention de cette fonctionnalité dans les sources.",
        "Le contexte ne précise pas le prix de l'abonnement.",
        "Cette information ne figure pas dans notre base de connaissances.",
        "Je ne suis pas en mesure de répondre à votre demande.",
        "Désolé, je n'ai pas la réponse à cette question.",
        "Je n'ai pas trouvé de réponse dans les documents.",
        "Malheureusement, cette information n'est pas disponible.",
        "Aucune information n'est disponible à ce sujet.",
        "Le document ne mentionne rien à ce propos.",
        "Je ne trouve pas d'information sur ce produit.",
    ],
    "es": [
        "No lo sé.",
        "Lo siento, no he encontrado información sobre ese tema en la documentación.",
        "El contexto proporcionado no menciona los plazos de devolución.",
        "No dispongo de información suficiente para responder a su pregunta.",
        "No puedo responder a esa pregunta con los documentos disponibles.",
        "No hay información sobre descuentos para estudiantes en las fuentes.",
        "Lamentablemente, no se encontraron resultados para su consulta.",
        "Esa información no aparece en nuestra base de conocimientos.",
        "Los documentos no especifican cuánto dura la garantía.",
        "No tengo acceso a los detalles de ese producto, así que no tengo una respuesta.",
        "Lo siento, no tengo información sobre eso.",
        "No encontré nada al respecto.",
        "La documentación no menciona ese tema.",
        "No se menciona en el contexto.",
        "No cuento con esa información.",
        "Desconozco la respuesta.",
    ],
    "it": [
        "Non lo so.",
        "Mi dispiace, non ho trovato informazioni su questo argomento nella documentazione.",
        "Il contesto fornito non contiene informazioni sui tempi di consegna.",
        "Purtroppo non sono in grado di rispondere a questa domanda.",
        "Non dispongo di informazioni sufficienti per rispondere.",
        "Nessun documento pertinente è stato trovato.",
        "I documenti non specificano la durata della garanzia.",
        "Non ci sono informazioni sugli sconti per studenti nelle fonti.",
        "Questa informazione non è presente nella nostra base di conoscenza.",
        "Non riesco a trovare una risposta alla tua domanda.",
        "Non ho informazioni al riguardo.",
        "Non ho trovato nulla su questo tema.",
        "Il documento non menziona la garanzia.",
        "Mi dispiace, non posso rispondere a questa domanda.",
        "Non saprei rispondere.",
        "Nel contesto non è presente questa informazione.",
    ],
    "pt": [
        "Não sei.",
        "Desculpe, não encontrei informações sobre esse assunto na documentação.",
        "O contexto fornecido não menciona o prazo de entrega.",
        "Infelizmente, não consigo responder a essa pergunta.",
        "Não tenho informações suficientes para responder.",
        "Nenhum documento relevante foi encontrado.",
        "Os documentos não especificam a duração da garantia.",
        "Não há informações sobre descontos para estudantes nas fontes.",
        "Essa informação não está disponível em nossa base de conhecimento.",
        "Eu não disponho de dados suficientes sobre esse produto.",
        "Desculpe, não tenho essa informação.",
        "Não encontrei nada sobre isso.",
        "O documento não menciona a garantia.",
        "Infelizmente não posso responder a isso.",
        "Não foi possível encontrar uma resposta.",
        "Não há menção a isso no contexto.",
    ],
    "nl": [
        "Dat weet ik helaas niet.",
        "Ik weet het niet.",
        "Sorry, ik heb hierover geen informatie gevonden in de documentatie.",
        "De verstrekte documenten bevatten geen informatie over de levertijd.",
        "Ik kan deze vraag helaas niet beantwoorden.",
        "Er zijn geen relevante resultaten gevonden.",
        "In de bronnen wordt deze functie niet genoemd.",
        "Ik beschik niet over informatie, er is geen informatie over dit product beschikbaar.",
        "Helaas kan ik geen antwoord vinden op uw vraag.",
        "De context vermeldt niet hoe lang de garantie duurt.",
        "Daar heb ik geen informatie over.",
        "Ik kan dat niet vinden in de documenten.",
        "De documenten zeggen hier niets over.",
        "Sorry, dat weet ik niet.",
        "Ik heb geen antwoord op deze vraag.",
        "Er is geen informatie beschikbaar.",
    ],
    "ja": [
        "分かりません。",
        "申し訳ございませんが、その情報は見つかりませんでした。",
        "提供された文書には、返品期限に関する記載がありません。",
        "ご質問にはお答えできません。",
        "すみません、わかりません。",
        "該当するドキュメントが見つかりませんでした。",
        "恐れ入りますが、そのご質問にはお答えしかねます。",
        "資料には保証期間について言及されていません。",
        "回答するための情報が不足しています。",
        "その製品に関するデータはございません。",
        "その件については情報がありません。",
        "申し訳ありませんが、わかりかねます。",
        "文書内に該当する記載が見つかりませんでした。",
        "回答できません。",
        "提供されたコンテキストには情報が含まれていません。",
        "その情報は提供されていません。",
    ],
    "zh": [
        "我不知道。",
        "抱歉，我没有找到关于退货期限的相关信息。",
        "提供的文档中没有提到学生折扣。",
        "很抱歉，我无法回答这个问题。",
        "根据现有资料，无法确定保修期限。",
        "知识库中未包含该产品的信息。",
        "目前没有足够的信息来回答您的问题。",
        "對不起，我找不到與您問題相關的資訊。",
        "这个问题我不太清楚，请联系客服。",
        "您的问题超出了我的知识范围。",
        "抱歉，我没有相关信息。",
        "文档中没有相关内容。",
        "我不确定。",
        "未找到相关结果。",
        "抱歉，我不能回答这个问题。",
        "上下文中没有提供该信息。",
        "暂无相关资料。",
    ],
    "ko": [
        "잘 모르겠습니다.",
        "죄송합니다. 해당 정보를 찾을 수 없습니다.",
        "제공된 문서에는 반품 기한에 대한 내용이 없습니다.",
        "죄송하지만 그 질문에는 답변드릴 수 없습니다.",
        "관련 문서를 찾지 못했습니다.",
        "현재 정보가 부족하여 답변을 드리기 어렵습니다.",
        "자료에서 보증 기간은 확인되지 않습니다.",
        "학생 할인에 대한 정보가 없습니다.",
        "그 부분은 저도 모르겠어요.",
        "문의하신 내용은 제 지식 범위를 벗어납니다.",
        "관련 정보를 찾을 수 없습니다.",
        "죄송합니다, 알 수 없습니다.",
        "문서에 해당 내용이 없습니다.",
        "답변할 수 없습니다.",
        "제가 가진 정보로는 답하기 어렵습니다.",
        "해당 질문에 대한 답을 찾지 못했습니다.",
    ],
}

ANSWERS = {
    "en": [
        "I don't know if you have already tried it, but here is the fix: reset the router.",
        "Refunds take five working days.",
        "If no results are found, clear the filter and search again.",
        "To find your invoice, open Billing. If you cannot find any documents there, ask your administrator.",
        "You don't have to do anything, the update installs by itself.",
        "The error 'no answer from server' means that the firewall blocks port 443.",
        "There is no limit on the number of projects in the Pro plan.",
        "We do not store any personal information without your consent.",
        "We cannot provide refunds after 30 days. Within 30 days, use the form under Orders.",
        "Yes. Open Settings, choose Security, and turn on two-factor sign-in. Then scan the code with your phone. "
        "Every member must do this once. I don't know of any exception.",
        "I'm sorry to hear that! Restart the device by holding the power button for ten seconds.",
        "The documents you need are a passport and a proof of address.",
        "You can find all information about refunds on the Orders page.",
        "I know this is frustrating. Open the app and sign in again.",
        "No, refunds are not available for gift cards.",
        "There is no fee for transfers within the EU.",
        "The contract does not include on-site support, which you can add under Add-ons.",
        "We don't have a phone line; write to us by chat and we answer within an hour.",
        "Your subscription doesn't include this feature; upgrade to Pro under Billing.",
    ],
    "de": [
        "Ich weiß nicht, ob Sie schon die neueste Version haben, aber hier ist die Lösung: Starten Sie den Dienst neu.",
        "Die Erstattung dauert fünf Werktage.",
        "Wenn keine Ergebnisse gefunden werden, setzen Sie den Filter zurück.",
        "Es gibt keine Mindestlaufzeit, Sie können jederzeit kündigen.",
        "Nein, Sie müssen nichts weiter tun.",
        "Falls keine Dokumente angezeigt werden, prüfen Sie Ihre Berechtigungen.",
        "Wir geben keine Daten an Dritte weiter.",
        "Öffnen Sie die Einstellungen und wählen Sie Sicherheit. Aktivieren Sie dort die Anmeldung in zwei Schritten. "
        "Eine Ausnahme kenne ich nicht, das weiß ich nicht.",
        "In den Unterlagen finden Sie die Rechnungsnummer oben rechts.",
        "Das Gerät lässt sich nicht einschalten, weil der Akku leer ist. Laden Sie es zwei Stunden.",
        "Nein, für Geschenkkarten gibt es keine Erstattung.",
        "Es fallen keine Gebühren an.",
        "Der Vertrag enthält keinen Vor-Ort-Service; Sie können ihn unter Extras buchen.",
        "Wir können Bestellungen nach dem Versand nicht ändern.",
        "Das Passwort darf keine Leerzeichen enthalten.",
        "Ich kann Ihnen dabei helfen: Öffnen Sie die Einstellungen.",
    ],
    "fr": [
        "Je ne sais pas si vous avez déjà essayé, mais voici la solution : redémarrez le routeur.",
        "Le remboursement prend cinq jours ouvrés.",
        "Si aucun résultat n'est trouvé, réinitialisez le filtre.",
        "Il n'y a pas de limite au nombre de projets.",
        "Vous ne pouvez pas modifier une facture après son envoi ; créez un avoir.",
        "Nous ne partageons pas vos données avec des tiers.",
        "Les documents nécessaires sont un passeport et un justificatif de domicile.",
        "N'oubliez pas de vérifier votre adresse avant de commander.",
        "Oui, la garantie dure deux ans.",
        "Non, les cartes cadeaux ne sont pas remboursables.",
        "Le contrat ne comprend pas le support sur site.",
        "Le mot de passe ne doit pas contenir d'espaces.",
        "Nous ne pouvons pas modifier une commande expédiée.",
        "Je peux vous aider : ouvrez les paramètres.",
    ],
    "es": [
        "No sé si ya lo ha probado, pero aquí está la solución: reinicie el router.",
        "El reembolso tarda cinco días hábiles.",
        "Si no se encuentran resultados, borre el filtro.",
        "No hay límite de proyectos en el plan Pro.",
        "No tiene que hacer nada, la actualización se instala sola.",
        "No compartimos sus datos con terceros.",
        "Los documentos necesarios son un pasaporte y un comprobante de domicilio.",
        "No olvide guardar los cambios antes de cerrar.",
        "Sí, la garantía dura dos años.",
        "No, las tarjetas regalo no se pueden devolver.",
        "La contraseña no puede contener espacios.",
        "No podemos modificar un pedido ya enviado.",
        "El contrato no incluye soporte presencial.",
        "No hay que pagar nada.",
    ],
    "it": [
        "Non so se ha già provato, ma ecco la soluzione: riavvii il router.",
        "Il rimborso richiede cinque giorni lavorativi.",
        "Se non ci sono risultati, azzeri il filtro.",
        "Non c'è un limite al numero di progetti.",
        "Non deve fare nulla, l'aggiornamento si installa da solo.",
        "Non condividiamo i suoi dati con terzi.",
        "I documenti necessari sono il passaporto e una bolletta.",
        "Non dimentichi di salvare le modifiche.",
        "Sì, la garanzia dura due anni.",
        "No, le carte regalo non sono rimborsabili.",
        "La password non può contenere spazi.",
        "Non possiamo modificare un ordine già spedito.",
        "Il contratto non include l'assistenza in loco.",
    ],
    "pt": [
        "Não sei se você já tentou, mas aqui está a solução: reinicie o roteador.",
        "O reembolso leva cinco dias úteis.",
        "Se não foram encontrados resultados, limpe o filtro.",
        "Não há limite de projetos no plano Pro.",
        "Você não precisa fazer nada, a atualização é automática.",
        "Não compartilhamos seus dados com terceiros.",
        "Os documentos necessários são passaporte e comprovante de residência.",
        "Não se esqueça de salvar as alterações.",
        "Sim, a garantia dura dois anos.",
        "Não, os cartões-presente não são reembolsáveis.",
        "A senha não pode conter espaços.",
        "Não podemos alterar um pedido já enviado.",
        "O contrato não inclui suporte presencial.",
    ],
    "nl": [
        "Ik weet niet of u het al geprobeerd hebt, maar hier is de oplossing: herstart de router.",
        "De terugbetaling duurt vijf werkdagen.",
        "Als er geen resultaten zijn gevonden, wist u het filter.",
        "Er is geen limiet aan het aantal projecten.",
        "U hoeft niets te doen, de update installeert zichzelf.",
        "Wij delen uw gegevens niet met derden.",
        "De benodigde documenten zijn een paspoort en een bewijs van adres.",
        "Vergeet niet om de wijzigingen op te slaan.",
        "Ja, de garantie duurt twee jaar.",
        "Nee, cadeaukaarten worden niet terugbetaald.",
        "Het wachtwoord mag geen spaties bevatten.",
        "Wij kunnen een verzonden bestelling niet wijzigen.",
        "Het contract bevat geen ondersteuning op locatie.",
    ],
    "ja": [
        "設定からパスワードを変更できます。",
        "返金には5営業日かかります。",
        "操作方法がわかりませんでしたら、サポートにご連絡ください。まず設定画面を開きます。",
        "プロジェクト数に上限はありません。",
        "原因は分かりませんが、以下の手順で解決できます。再起動してください。",
        "お客様の操作は必要ありません。更新は自動で行われます。",
        "必要な書類はパスポートと住所証明書です。",
        "はい、保証期間は2年です。",
        "変更を保存するのを忘れないでください。",
        "ギフトカードは返金できません。",
        "パスワードに空白は使えません。",
        "発送後の注文は変更できません。",
        "追加料金はありません。",
    ],
    "zh": [
        "您可以在设置中修改密码。",
        "退款需要五个工作日。",
        "如果您不知道密码，请点击忘记密码。",
        "专业版的项目数量没有限制。",
        "我不知道您是否试过，但是这里有解决办法：重启路由器。",
        "您无需任何操作，更新会自动安装。",
        "我们不会与第三方共享您的数据。",
        "需要的文件是护照和地址证明。",
        "是的，保修期为两年。",
        "礼品卡不能退款。",
        "密码不能包含空格。",
        "订单发货后无法修改。",
        "没有额外费用。",
    ],
    "ko": [
        "설정에서 비밀번호를 변경할 수 있습니다.",
        "환불에는 영업일 기준 5일이 걸립니다.",
        "검색이 되지 않으면 필터를 초기화하세요.",
        "프로젝트 수에는 제한이 없습니다.",
        "원인은 모르겠지만 다음과 같이 하면 해결됩니다.",
        "따로 하실 일은 없습니다. 업데이트는 자동으로 설치됩니다.",
        "필요한 서류는 여권과 주소 증명서입니다.",
        "네, 보증 기간은 2년입니다.",
        "변경 사항을 저장하는 것을 잊지 마세요.",
        "기프트 카드는 환불되지 않습니다.",
        "비밀번호에는 공백을 사용할 수 없습니다.",
        "발송된 주문은 변경할 수 없습니다.",
        "추가 요금은 없습니다.",
    ],
}


@pytest.fixture(scope="module")
def abstains() -> Abstention:
    return Abstention.shipped()


def test_every_shipped_language_has_examples_of_both_kinds() -> None:
    assert shipped_pack().keys() == ABSTAINS.keys() == ANSWERS.keys()
    assert min(len(texts) for texts in [*ABSTAINS.values(), *ANSWERS.values()]) >= 8


@pytest.mark.parametrize(("lang", "answer"), [(lang, text) for lang, texts in ABSTAINS.items() for text in texts])
def test_an_answer_that_has_none_is_an_abstention(abstains: Abstention, lang: str, answer: str) -> None:
    assert abstains(answer, lang)
    assert abstains(answer, "und")


@pytest.mark.parametrize(("lang", "answer"), [(lang, text) for lang, texts in ANSWERS.items() for text in texts])
def test_an_answer_that_only_sounds_like_it_is_none(abstains: Abstention, lang: str, answer: str) -> None:
    assert not abstains(answer, lang)
    assert not abstains(answer, "und")


def test_an_abstention_late_in_a_long_answer_does_not_count(abstains: Abstention) -> None:
    useful = "Open Billing and choose Invoices. Download the one you need as a PDF. "
    assert not abstains(useful + "I don't know.", "en")
    assert not abstains("a" * 250 + " I don't know.", "en")


def test_greetings_are_no_sentences(abstains: Abstention) -> None:
    assert abstains("Hi Anna! Sure! Hm. Okay. I don't know.", "en")


def test_english_is_tried_beside_every_language_and_no_other_one_is(abstains: Abstention) -> None:
    assert abstains("I don't know.", "de")
    assert abstains("I don't know.", "pl")
    assert not abstains("Das weiß ich nicht.", "fr")


def test_case_quotes_markup_and_blanks_do_not_matter(abstains: Abstention) -> None:
    assert abstains("> **I DON’T   KNOW.**", "en")
    assert abstains("Je n’ai pas\u00a0trouvé de réponse.", "fr")


@pytest.mark.parametrize(
    "answer", ["", " ", "\n\n", "\x00", "\ud800", "?" * 100_000, "i " * 50_000, "ich keine " * 20_000]
)
def test_odd_and_hostile_answers_are_no_abstentions_and_cost_nothing(abstains: Abstention, answer: str) -> None:
    started = time.process_time()
    assert not abstains(answer, "und")
    assert time.process_time() - started < 0.1


def refused(where: object, problem: str, remedy: str) -> None:
    raise AssertionError(f"{where}: {problem} {remedy}")


def test_own_patterns_join_the_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "patterns.yaml"
    file.write_text("de: ['da muss ich … passen']\npl: {says: [nie wiem], unless: [ale oto]}\n", "utf-8")
    abstains = Abstention.extended(read_pack(file))
    assert abstains("Da muss ich leider passen.", "de")
    assert abstains("Das weiß ich nicht.", "de")
    assert abstains("Nie wiem.", "pl")
    assert not abstains("Nie wiem, ale oto link.", "pl")


def test_own_patterns_may_stand_in_the_configuration_itself() -> None:
    abstains = Abstention.extended(pack_of({"pt-BR": ["vixe"], "pt": ["sei lá"]}, refused))
    assert abstains("Vixe, essa não!", "pt")
    assert abstains("Sei lá.", "pt")


def test_capital_letters_in_own_patterns_match_whatever_the_case() -> None:
    abstains = Abstention.extended(pack_of({"en": ["NO ANSWER\\S*"]}, refused))
    assert abstains("no answer!!", "en")


def test_a_bad_pattern_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "patterns.yaml"
    file.write_text("de:\n  - keine ahnung\n  - 'nichts ('\njp: [x]\nfr: nada\nes: {sagt: []}\n", "utf-8")
    with pytest.raises(ConfigErrors) as raised:
        read_pack(file)
    lines = str(raised.value).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{file}:3: the pattern 'nichts (' is not a regular expression")
    assert "'jp' is not a BCP 47 language. Did you mean 'ja'?" in lines[1]
    assert "this is no list of patterns" in lines[2]
    assert "a language has no 'sagt'. There are: says, unless." in lines[3]


@pytest.mark.parametrize("given", [None, [], "x", {"de": [1]}, {"de": ["x*"]}])
def test_patterns_that_are_none_are_errors(given: object) -> None:
    with pytest.raises(AssertionError):
        pack_of(given, refused)


def test_a_hundred_thousand_short_answers_take_about_a_second(abstains: Abstention) -> None:
    answers = [answer for lang in ("en", "de") for answer in ABSTAINS[lang] + ANSWERS[lang]]
    started = time.process_time()
    for index in range(20_000):
        abstains(answers[index % len(answers)], "de")
    assert time.process_time() - started < 0.5  # 0.17 s on an idle machine
