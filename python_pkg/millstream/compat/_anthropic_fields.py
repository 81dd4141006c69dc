"""Objects of the anthropic SDK and the names of their fields; `_lazy` says how they are read.

Written by tests/python/sdk_fields.py from anthropic 2.12.0.
"""

FIELDS = """\
Message(message): id container=Container content=TextBlock| ThinkingBlock| RedactedThinkingBlock|
  ToolUseBlock| ServerToolUseBlock| WebSearchToolResultBlock| WebFetchToolResultBlock|
  CodeExecutionToolResultBlock| BashCodeExecutionToolResultBlock|
  TextEditorCodeExecutionToolResultBlock| ToolSearchToolResultBlock| ContainerUploadBlock
  diagnostics=Diagnostics model role stop_details=RefusalStopDetails stop_reason stop_sequence
  type usage=Usage
Container: id expires_at=@ skills=ContainerSkill
ContainerSkill(anthropic, custom): skill_id type version
TextBlock(text): citations=CitationCharLocation| CitationPageLocation|
  CitationContentBlockLocation| CitationsWebSearchResultLocation| CitationsSearchResultLocation
  text type
CitationCharLocation(char_location): cited_text document_index document_title end_char_index
  file_id start_char_index type
CitationPageLocation(page_location): cited_text document_index document_title end_page_number
  file_id start_page_number type
CitationContentBlockLocation(content_block_location): cited_text document_index document_title
  end_block_index file_id start_block_index type
CitationsWebSearchResultLocation(web_search_result_location): cited_text encrypted_index title
  type url
CitationsSearchResultLocation(search_result_location): cited_text end_block_index
  search_result_index source start_block_index title type
ThinkingBlock(thinking): signature thinking type
RedactedThinkingBlock(redacted_thinking): data type
ToolUseBlock(tool_use): id caller=DirectCaller| ServerToolCaller| ServerToolCaller20260120 input
  name type toolset_name
DirectCaller(direct): type
ServerToolCaller(code_execution_20250825): tool_id type
ServerToolCaller20260120(code_execution_20260120): tool_id type
ServerToolUseBlock(server_tool_use): id caller=DirectCaller| ServerToolCaller|
  ServerToolCaller20260120 input name type
WebSearchToolResultBlock(web_search_tool_result): caller=DirectCaller| ServerToolCaller|
  ServerToolCaller20260120 content=WebSearchToolResultErrorObject| WebSearchResultBlock
  tool_use_id type
WebSearchToolResultErrorObject(web_search_tool_result_error): error_code type
WebSearchResultBlock(web_search_result): encrypted_content page_age title type url
WebFetchToolResultBlock(web_fetch_tool_result): caller=DirectCaller| ServerToolCaller|
  ServerToolCaller20260120 content=WebFetchToolResultErrorBlock| WebFetchBlock tool_use_id type
WebFetchToolResultErrorBlock(web_fetch_tool_result_error): error_code type
WebFetchBlock(web_fetch_result): content=DocumentBlock retrieved_at type url
DocumentBlock(document): citations=CitationsConfig source=Base64PDFSource| PlainTextSource title
  type
CitationsConfig: enabled
Base64PDFSource(base64): data media_type type
PlainTextSource(text): data media_type type
CodeExecutionToolResultBlock(code_execution_tool_result):
  content=CodeExecutionToolResultErrorObject| CodeExecutionResultBlock|
  EncryptedCodeExecutionResultBlock tool_use_id type
CodeExecutionToolResultErrorObject(code_execution_tool_result_error): error_code type
CodeExecutionResultBlock(code_execution_result): content=CodeExecutionOutputBlock return_code
  stderr stdout type
CodeExecutionOutputBlock(code_execution_output): file_id type
EncryptedCodeExecutionResultBlock(encrypted_code_execution_result):
  content=CodeExecutionOutputBlock encrypted_stdout return_code stderr type
BashCodeExecutionToolResultBlock(bash_code_execution_tool_result):
  content=BashCodeExecutionToolResultErrorObject| BashCodeExecutionResultBlock tool_use_id type
BashCodeExecutionToolResultErrorObject(bash_code_execution_tool_result_error): error_code type
BashCodeExecutionResultBlock(bash_code_execution_result): content=BashCodeExecutionOutputBlock
  return_code stderr stdout type
BashCodeExecutionOutputBlock(bash_code_execution_output): file_id type
TextEditorCodeExecutionToolResultBlock(text_editor_code_execution_tool_result):
  content=TextEditorCodeExecutionToolResultErrorObject| TextEditorCodeExecutionViewResultBlock|
  TextEditorCodeExecutionCreateResultBlock| TextEditorCodeExecutionStrReplaceResultBlock
  tool_use_id type
TextEditorCodeExecutionToolResultErrorObject(text_editor_code_execution_tool_result_error):
  error_code error_message type
TextEditorCodeExecutionViewResultBlock(text_editor_code_execution_view_result): content file_type
  num_lines start_line total_lines type
TextEditorCodeExecutionCreateResultBlock(text_editor_code_execution_create_result): is_file_update
  type
TextEditorCodeExecutionStrReplaceResultBlock(text_editor_code_execution_str_replace_result): lines
  new_lines new_start old_lines old_start type
ToolSearchToolResultBlock(tool_search_tool_result): content=ToolSearchToolResultErrorObject|
  ToolSearchToolSearchResultBlock tool_use_id type
ToolSearchToolResultErrorObject(tool_search_tool_result_error): error_code error_message type
ToolSearchToolSearchResultBlock(tool_search_tool_search_result):
  tool_references=ToolReferenceBlock type
ToolReferenceBlock(tool_reference): tool_name type
ContainerUploadBlock(container_upload): file_id type
Diagnostics: cache_miss_reason=CacheMissModelChanged| CacheMissSystemChanged|
  CacheMissToolsChanged| CacheMissMessagesChanged| CacheMissPreviousMessageNotFound|
  CacheMissUnavailable
CacheMissModelChanged(model_changed): cache_missed_input_tokens type
CacheMissSystemChanged(system_changed): cache_missed_input_tokens type
CacheMissToolsChanged(tools_changed): cache_missed_input_tokens type
CacheMissMessagesChanged(messages_changed): cache_missed_input_tokens type
CacheMissPreviousMessageNotFound(previous_message_not_found): type
CacheMissUnavailable(unavailable): type
RefusalStopDetails(refusal): category explanation type
Usage: cache_creation=CacheCreation cache_creation_input_tokens cache_read_input_tokens
  inference_geo input_tokens output_tokens output_tokens_details=OutputTokensDetails
  server_tool_use=ServerToolUsage service_tier speed
CacheCreation: ephemeral_1h_input_tokens ephemeral_5m_input_tokens
OutputTokensDetails: thinking_tokens
ServerToolUsage: web_fetch_requests web_search_requests
RawMessageStartEvent(message_start): message=Message type
RawMessageDeltaEvent(message_delta): delta=Delta type usage=MessageDeltaUsage
Delta: container=Container stop_details=RefusalStopDetails stop_reason stop_sequence
MessageDeltaUsage: cache_creation_input_tokens cache_read_input_tokens input_tokens output_tokens
  output_tokens_details=OutputTokensDetails server_tool_use=ServerToolUsage
RawMessageStopEvent(message_stop): type
RawContentBlockStartEvent(content_block_start): content_block=TextBlock| ThinkingBlock|
  RedactedThinkingBlock| ToolUseBlock| ServerToolUseBlock| WebSearchToolResultBlock|
  WebFetchToolResultBlock| CodeExecutionToolResultBlock| BashCodeExecutionToolResultBlock|
  TextEditorCodeExecutionToolResultBlock| ToolSearchToolResultBlock| ContainerUploadBlock index
  type
RawContentBlockDeltaEvent(content_block_delta): delta=TextDelta| InputJSONDelta| CitationsDelta|
  ThinkingDelta| SignatureDelta index type
TextDelta(text_delta): text type
InputJSONDelta(input_json_delta): partial_json type
CitationsDelta(citations_delta): citation=CitationCharLocation| CitationPageLocation|
  CitationContentBlockLocation| CitationsWebSearchResultLocation| CitationsSearchResultLocation
  type
ThinkingDelta(thinking_delta): thinking type
SignatureDelta(signature_delta): signature type
RawContentBlockStopEvent(content_block_stop): index type
RawMessageStreamEvent = RawMessageStartEvent| RawMessageDeltaEvent| RawMessageStopEvent|
  RawContentBlockStartEvent| RawContentBlockDeltaEvent| RawContentBlockStopEvent
"""
